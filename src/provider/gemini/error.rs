//! Gemini's errors: `{"error":{"code","message","status","details"}}`, as a body and as an event.

use crate::provider::reading::Said;

pub(super) fn said(body: &[u8]) -> Said {
    Said::of(body, "/error/status", "/error/message")
}
