//! Paths of the Bedrock Runtime.

use crate::dialect::aws_path::push_segment;

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A whole reply.
    Converse,
    /// A reply as an event stream.
    ConverseStream,
}

impl Operation {
    /// The one that answers with a stream, or not.
    pub(crate) fn of(stream: bool) -> Self {
        if stream {
            Self::ConverseStream
        } else {
            Self::Converse
        }
    }

    /// `:path`; the model, often an ARN, is one escaped segment.
    pub(crate) fn path(self, model: &str) -> String {
        let mut path = String::from("/model/");
        push_segment(&mut path, model);
        path.push_str(match self {
            Self::Converse => "/converse",
            Self::ConverseStream => "/converse-stream",
        });
        path
    }
}
