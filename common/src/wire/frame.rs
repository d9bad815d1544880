//! The frame around each message: length, version, kind, content.

/// Octets before the content: length (2, big-endian, of what follows it), version (1), kind (1).
pub const HEADER_LEN: usize = 4;
/// The largest length field: version, kind and the largest content.
pub const FRAME_MAX: u16 = 256;
/// The protocol version.
pub const VERSION: u8 = 1;
/// The largest content in octets.
const CONTENT_MAX: usize = 254;

/// Why octets are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field is below 2 or above [`FRAME_MAX`].
    #[error("a frame of {0} octets is outside 2..={max}", max = FRAME_MAX)]
    Length(u16),
    /// The version is not 1.
    #[error("the frame is of version {0}, only version 1 is known")]
    Version(u8),
}

/// A frame's header as read from a socket, before its content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message kind.
    pub kind: u8,
    /// How many octets of content follow.
    pub content_len: usize,
}

impl Header {
    /// Reads the 4 octets in front of the content.
    ///
    /// # Errors
    /// [`FrameError`] for a length outside the cap or another version: the connection must be closed.
    pub fn parse(octets: [u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let [l0, l1, version, kind] = octets;
        let length = u16::from_be_bytes([l0, l1]);
        if !(2..=FRAME_MAX).contains(&length) {
            return Err(FrameError::Length(length));
        }
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        Ok(Self { kind, content_len: usize::from(length.saturating_sub(2)) })
    }
}

/// A frame that is ready to be written; never longer than the cap.
#[derive(Clone, Copy)]
pub struct Frame {
    /// Header and content.
    octets: [u8; HEADER_LEN + CONTENT_MAX],
    /// How many of them count.
    len: usize,
}

impl Frame {
    /// Frames the parts of a content; parts past 254 octets are cut off, which no message of ours reaches.
    pub(crate) fn new(kind: u8, parts: &[&[u8]]) -> Self {
        let mut octets = [0; HEADER_LEN + CONTENT_MAX];
        let mut len = HEADER_LEN;
        let content = parts.iter().flat_map(|part| part.iter());
        for (to, from) in octets.iter_mut().skip(HEADER_LEN).zip(content) {
            *to = *from;
            len += 1;
        }
        let [l0, l1] = u16::try_from(len.saturating_sub(2)).unwrap_or(FRAME_MAX).to_be_bytes();
        for (to, from) in octets.iter_mut().zip([l0, l1, VERSION, kind]) {
            *to = from;
        }
        Self { octets, len }
    }

    /// The octets to write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }

    /// The octets after the header.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.as_bytes().get(HEADER_LEN..).unwrap_or_default()
    }
}
