//! Server-sent events as LLM upstreams use them: `data:` lines, ended by a blank line. Bounded: an event that never
//! ends is dropped, not collected.
//!
//! Format: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

/// The longest event whose data is looked at.
pub(crate) const LONGEST_EVENT: usize = 1 << 20;

/// Splits a stream of bytes into the data of its events.
#[derive(Debug)]
pub struct Events {
    /// The longest event, in bytes.
    most: usize,
    /// Each line is an event of its own.
    lines: bool,
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    oversize: bool,
    lost: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self::bounded(LONGEST_EVENT)
    }
}

impl Events {
    /// Events of at most `most` bytes.
    pub(crate) fn bounded(most: usize) -> Self {
        let (line, data) = (Vec::new(), Vec::new());
        Self { most, lines: false, line, data, has_data: false, oversize: false, lost: false }
    }

    /// No server-sent events, but lines of at most `most` bytes.
    pub(crate) fn lines(most: usize) -> Self {
        Self { lines: true, ..Self::bounded(most) }
    }

    /// Whether something was too long, and dropped.
    pub(crate) const fn lost(&self) -> bool {
        self.lost
    }

    /// What is held of an event that is not over, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.line.len() + self.data.len()
    }

    /// Takes a chunk; calls `event` with the data of each event that it completes.
    pub fn push(&mut self, chunk: &[u8], mut event: impl FnMut(&[u8])) {
        for piece in chunk.split_inclusive(|&b| b == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if self.line.len() + text.len() > self.most {
                (self.oversize, self.lost) = (true, true);
                self.line.clear();
            } else {
                self.line.extend_from_slice(text);
            }
            if ended {
                self.end_line(&mut event);
            }
        }
    }

    /// Takes the stream's end: some upstreams leave the last blank line out.
    pub fn finish(&mut self, mut event: impl FnMut(&[u8])) {
        self.end_line(&mut event);
        self.dispatch(&mut event);
    }

    fn end_line(&mut self, event: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if self.lines {
            if !std::mem::take(&mut self.oversize) && !line.trim_ascii().is_empty() {
                event(line);
            }
            return;
        }
        if line.is_empty() && !self.oversize {
            self.dispatch(event);
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            if self.data.len() + data.len() > self.most {
                (self.oversize, self.lost) = (true, true);
            } else {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data);
                self.has_data = true;
            }
        } else if line.is_empty() {
            self.dispatch(event);
        }
    }

    fn dispatch(&mut self, event: &mut impl FnMut(&[u8])) {
        if self.has_data && !self.oversize {
            event(&self.data);
        }
        self.data.clear();
        (self.has_data, self.oversize) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(chunks: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut events = Events::default();
        for chunk in chunks {
            events.push(chunk, |data| found.push(String::from_utf8_lossy(data).into_owned()));
        }
        events.finish(|data| found.push(String::from_utf8_lossy(data).into_owned()));
        found
    }

    #[test]
    fn reads_what_upstreams_send() {
        let text =
            b": keep-alive\n\nevent: message\ndata: {\"a\":1}\r\n\r\ndata:one\ndata: two\n\nid: 7\n\ndata: [DONE]";
        assert_eq!(events(&[text]), ["{\"a\":1}", "one\ntwo", "[DONE]"]);
    }

    #[test]
    fn an_event_without_end_is_dropped_and_the_next_one_read() {
        let long = b"x".repeat(LONGEST_EVENT + 1);
        assert_eq!(events(&[b"data: ", &long, &long, b"\n\ndata: 2\n\n"]), ["2"]);
    }

    proptest! {
        #[test]
        fn how_it_is_cut_does_not_matter(text in "(data: ?[a-z]{0,3}|\r\n|\n|:x|data){0,20}", cut in 0usize..60) {
            let cut = cut.min(text.len());
            let (a, b) = text.as_bytes().split_at(cut);
            prop_assert_eq!(events(&[a, b]), events(&[text.as_bytes()]));
        }
    }
}
