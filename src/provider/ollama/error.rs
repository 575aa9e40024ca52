//! Ollama's errors: `{"error":"…"}`, as a body and as a line.

use crate::provider::reading::Said;

pub(super) fn said(body: &[u8]) -> Said {
    // It names no kinds.
    Said::of(body, "/kind", "/error")
}
