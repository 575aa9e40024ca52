//! Anthropic's errors: `{"type":"error","error":{"type","message"},"request_id"}`, as a body and as an event.

use crate::provider::reading::Said;

pub(super) fn said(body: &[u8]) -> Said {
    Said::of(body, "/error/type", "/error/message")
}
