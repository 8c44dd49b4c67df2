"""Headers of clients that are gone when a route or an endpoint is chosen."""

MODEL_HEADER = "x-ai-eg-model"
# Credentials are set apart, and what only gateways may say is removed.
UNSEEN = frozenset(
    {
        "api-key",
        "authorization",
        "proxy-authorization",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-api-key",
        "x-gateway-destination-endpoint",
        "x-goog-api-key",
    }
)
UNSEEN_PREFIXES = ("x-ai-eg-", "x-aigw-", "x-envoy-")


def is_unseen(name: str) -> bool:
    """Whether a header, in lower case, is gone by then; the model is a header of our own."""
    return name in UNSEEN or (name.startswith(UNSEEN_PREFIXES) and name != MODEL_HEADER)
