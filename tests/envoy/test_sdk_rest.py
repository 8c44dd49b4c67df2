"""OpenAI's and Cohere's libraries, what else there is: text, vectors, media, ranks, lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cohere.core.api_error import ApiError

from beds.golden import LISTED_MODEL
from beds.sdks import BUILT, SAID, SdkBed

if TYPE_CHECKING:
    from anthropic import Anthropic
    from cohere import ClientV2
    from openai import OpenAI


@pytest.mark.parametrize("schema", [*BUILT, "AzureOpenAI", "OpenAI"])
def test_completions_are_read_and_streamed(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    whole = openai.completions.create(
        model="harbour",
        prompt="High tide",
        extra_headers=sdks.headers(f"completions/text/{schema}"),
    )
    assert whole.choices[0].text == SAID
    with openai.completions.create(
        model="harbour",
        prompt="High tide",
        stream=True,
        extra_headers=sdks.headers(f"completions/stream_text/{schema}"),
    ) as stream:
        text = "".join(choice.text for chunk in stream for choice in chunk.choices)
    assert text == SAID


@pytest.mark.parametrize("schema", ["AWSBedrock", "Cohere", "GCPVertexAI"])
def test_embeddings_come_as_the_library_asks(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    result = openai.embeddings.create(
        model="harbour",
        input="tide",
        extra_headers=sdks.headers(f"embeddings/base64/{schema}"),
    )
    assert result.data[0].embedding == [0.25, -1.5]
    assert result.usage.total_tokens == 3


@pytest.mark.parametrize("schema", ["AWSBedrock", "AzureOpenAI", "Cohere", "GCPVertexAI", "OpenAI"])
def test_embeddings_are_lists_of_numbers(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    result = openai.embeddings.create(
        model="harbour",
        input="tide",
        encoding_format="float",
        extra_headers=sdks.headers(f"embeddings/one_text/{schema}"),
    )
    assert result.data[0].embedding == [0.25, -1.5]


def test_images_are_made_and_streamed(sdks: SdkBed, openai: OpenAI) -> None:
    image = openai.images.generate(
        model="harbour",
        prompt="a lighthouse",
        extra_headers=sdks.headers("image_generations/url/OpenAI"),
    )
    assert image.data is not None
    assert image.data[0].url == "https://img.example/1.png"
    with openai.images.generate(
        model="harbour",
        prompt="a lighthouse",
        stream=True,
        extra_headers=sdks.headers("image_generations/stream/OpenAI"),
    ) as stream:
        kinds = [event.type for event in stream]
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]


def test_images_are_edited(sdks: SdkBed, openai: OpenAI) -> None:
    edited = openai.images.edit(
        model="harbour",
        image=[("a.png", b"PNG 1"), ("b.png", b"PNG 2")],
        prompt="a lighthouse",
        extra_headers=sdks.headers("image_edits/model_added/OpenAI"),
    )
    assert edited.usage is not None
    assert edited.usage.total_tokens == 322


def test_speech_is_made_and_streamed(sdks: SdkBed, openai: OpenAI) -> None:
    speech = openai.audio.speech.create(
        model="harbour",
        input="Mind the gap",
        voice="ash",
        extra_headers=sdks.headers("speech/audio/OpenAI"),
    )
    assert speech.content == b"ID3 sound"
    with openai.audio.speech.with_streaming_response.create(
        model="harbour",
        input="Mind the gap",
        voice="ash",
        stream_format="sse",
        extra_headers=sdks.headers("speech/stream/OpenAI"),
    ) as response:
        events = [line for line in response.iter_lines() if line.startswith("event:")]
    assert events == ["event: speech.audio.delta", "event: speech.audio.done"]


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the library's translations
def test_audio_is_written_down_and_translated(sdks: SdkBed, openai: OpenAI) -> None:
    file = ("a.wav", b"RIFFdata")
    text = openai.audio.transcriptions.create(
        model="harbour", file=file, extra_headers=sdks.headers("transcriptions/json/OpenAI")
    )
    assert text.text == "Land ho"
    with openai.audio.transcriptions.create(
        model="harbour",
        file=file,
        stream=True,
        extra_headers=sdks.headers("transcriptions/stream/OpenAI"),
    ) as stream:
        kinds = [event.type for event in stream]
    assert kinds == ["transcript.text.delta", "transcript.text.done"]
    translated = openai.audio.translations.create(
        model="harbour", file=file, extra_headers=sdks.headers("translations/json/OpenAI")
    )
    assert translated.text == "Land ho"


def test_models_are_listed(openai: OpenAI, anthropic: Anthropic) -> None:
    assert [model.id for model in openai.models.list()] == [LISTED_MODEL]
    assert [model.id for model in anthropic.models.list()] == [LISTED_MODEL]


def test_documents_are_ranked(sdks: SdkBed, cohere: ClientV2) -> None:
    headers = sdks.headers("rerank/documents/Cohere")
    ranked = cohere.rerank(
        model="harbour",
        query="warm hats",
        documents=["wool cap", "sun hat"],
        top_n=1,
        request_options={"additional_headers": headers},
    )
    assert [(one.index, one.relevance_score) for one in ranked.results] == [(0, 0.91)]
    assert ranked.meta is not None
    assert ranked.meta.tokens is not None
    assert ranked.meta.tokens.input_tokens == 31


def test_a_refusal_to_rank_has_a_message(sdks: SdkBed, cohere: ClientV2) -> None:
    headers = sdks.headers("rerank/error/Cohere")
    with pytest.raises(ApiError) as caught:
        cohere.rerank(
            model="harbour",
            query="warm hats",
            documents=["wool cap"],
            request_options={"additional_headers": headers, "max_retries": 0},
        )
    assert caught.value.body["message"] == "too many ships"
