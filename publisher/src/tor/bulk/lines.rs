//! A fixed buffer that turns tor's wire form back into text: CRLF to LF, one leading dot off, the dot line is the end.

/// Octets of the buffer, and so the longest line; tor's longest lines have some thousand.
const CAPACITY: usize = 64 * 1024;

/// Octets that came from tor.
pub(super) struct Buffer {
    /// The octets; always [`CAPACITY`] of them.
    octets: Box<[u8]>,
    /// Where the unread ones start.
    start: usize,
    /// Where they end.
    end: usize,
}

/// What a reply's first line announces.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A data block follows.
    Data,
    /// The value stands in the line.
    Value(Vec<u8>),
}

impl Head {
    /// Reads `250+KEY=` or `250-KEY=VALUE`.
    ///
    /// Spec: control-spec, 3.9 (GETINFO).
    pub(super) fn parse(line: &[u8], key: &str) -> Option<Self> {
        let rest = line.strip_prefix(b"250")?;
        let (sign, rest) = rest.split_first()?;
        let value = rest.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
        match sign {
            b'+' => value.is_empty().then_some(Self::Data),
            b'-' => Some(Self::Value(value.to_vec())),
            _other => None,
        }
    }
}

/// Text that is ready.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Whole lines.
    pub(super) text: &'a [u8],
    /// Whether the data block ends here.
    pub(super) end: bool,
}

impl Buffer {
    /// An empty buffer.
    pub(super) fn new() -> Self {
        Self { octets: vec![0; CAPACITY].into_boxed_slice(), start: 0, end: 0 }
    }

    /// Room for more octets; `None` if one line fills the buffer.
    pub(super) fn room(&mut self) -> Option<&mut [u8]> {
        self.octets.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        self.octets.get_mut(self.end..).filter(|room| !room.is_empty())
    }

    /// Says that so many octets of the room have been filled.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.octets.len());
    }

    /// The place after the next line feed.
    fn next_end(&self) -> Option<usize> {
        let unread = self.octets.get(self.start..self.end)?;
        let length = unread.iter().position(|octet| *octet == b'\n')?;
        Some(self.start.saturating_add(length).saturating_add(1))
    }

    /// The next line without its end, if it is complete.
    pub(super) fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.next_end()?;
        let line = self.octets.get(self.start..end)?;
        let line = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line))?.to_vec();
        self.start = end;
        Some(line)
    }

    /// All complete lines of a data block as text. The lines are moved together in place: the text is never the longer form.
    ///
    /// A block of nothing but an empty line is tor's way to write no content; it gives one empty line, which no reader minds.
    pub(super) fn take_text(&mut self) -> Piece<'_> {
        let from = self.start;
        let mut written = from;
        let mut end = false;
        while let Some(next) = self.next_end() {
            let line = self.octets.get(self.start..next).unwrap_or_default();
            let dot = usize::from(line.starts_with(b"."));
            let tail: usize = if line.ends_with(b"\r\n") { 2 } else { 1 };
            end = dot == 1 && line.len() == tail.saturating_add(1);
            if end {
                self.start = next;
                break;
            }
            let first = self.start.saturating_add(dot);
            let last = next.saturating_sub(tail).max(first);
            self.octets.copy_within(first..last, written);
            written = written.saturating_add(last.saturating_sub(first));
            if let Some(octet) = self.octets.get_mut(written) {
                *octet = b'\n';
            }
            written = written.saturating_add(1);
            self.start = next;
        }
        Piece { text: self.octets.get(from..written).unwrap_or_default(), end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a data block becomes when it comes in pieces of `size`.
    fn unstuffed(wire: &[u8], size: usize) -> Option<Vec<u8>> {
        let mut buffer = Buffer::new();
        let mut text = Vec::new();
        for piece in wire.chunks(size) {
            buffer.room()?.get_mut(..piece.len())?.copy_from_slice(piece);
            buffer.filled(piece.len());
            let piece = buffer.take_text();
            text.extend_from_slice(piece.text);
            if piece.end {
                return Some(text);
            }
        }
        None
    }

    #[test]
    fn heads_of_both_forms_are_read() {
        assert_eq!(Head::parse(b"250+md/all=", "md/all"), Some(Head::Data));
        assert_eq!(Head::parse(b"250-md/all=", "md/all"), Some(Head::Value(Vec::new())));
        assert_eq!(Head::parse(b"250-a=b=c", "a"), Some(Head::Value(b"b=c".to_vec())));
        for bad in ["250 OK", "551 no", "250+md/all=x", "250-md/al=x", "", "250"] {
            assert_eq!(Head::parse(bad.as_bytes(), "md/all"), None, "{bad}");
        }
    }

    #[test]
    fn vectors_of_dot_stuffing_are_undone() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../../tests/vectors/control.json")).unwrap();
        for row in vectors["dot_stuffing"].as_array().unwrap() {
            let (data, wire) = (row["data"].as_str().unwrap(), row["wire"].as_str().unwrap());
            for size in 1..=wire.len() {
                let text = unstuffed(wire.as_bytes(), size).unwrap();
                assert_eq!(
                    if data.is_empty() { text.trim_ascii() } else { &text },
                    data.as_bytes(),
                    "{size}"
                );
            }
        }
    }

    #[test]
    fn a_line_longer_than_the_buffer_leaves_no_room() {
        let mut buffer = Buffer::new();
        while let Some(room) = buffer.room() {
            let count = room.len();
            room.fill(b'x');
            buffer.filled(count);
            assert_eq!(buffer.take_text(), Piece { text: b"", end: false });
        }
        assert_eq!(buffer.end, CAPACITY);
    }

    proptest::proptest! {
        #[test]
        fn text_survives_stuffing_and_any_cut(lines in proptest::collection::vec("[.a\r ]{0,6}", 0..20), size in 1usize..40) {
            let lines: Vec<&str> = lines.iter().map(|line| line.trim_end_matches('\r')).collect();
            let text: String = lines.iter().flat_map(|line| [*line, "\n"]).collect();
            let stuffed = lines.iter().map(|line| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" }));
            let wire: String = stuffed.chain([".\r\n".to_owned()]).collect();
            let found = unstuffed(wire.as_bytes(), size);
            proptest::prop_assert_eq!(found.as_deref(), Some(text.as_bytes()));
        }

        #[test]
        fn no_octets_panic(wire: Vec<u8>, size in 1usize..9) {
            let _text = unstuffed(&wire, size);
            let _head = Head::parse(&wire, "md/all");
        }
    }
}
