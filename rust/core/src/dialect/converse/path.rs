//! Paths of the Bedrock Runtime.

use crate::dialect::aws_path::push_segment;

/// `:path` of one conversation; the model, often an ARN, is one escaped segment.
pub(crate) fn converse_path(model: &str, stream: bool) -> String {
    let mut path = String::from("/model/");
    push_segment(&mut path, model);
    path.push_str(if stream {
        "/converse-stream"
    } else {
        "/converse"
    });
    path
}
