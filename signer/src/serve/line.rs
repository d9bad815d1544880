//! What keeper and gate say to each other: a kind, a vault's count, seconds; nothing of what is asked or answered.

use super::packet::{self, Heard};
use crate::vault::message::Generation;
use std::io;
use std::os::fd::AsFd;

/// Octets of a note.
const LEN: usize = 9;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Gate: the books are open, the first vault may be started.
    Proceed,
    /// Gate: clients are served.
    Serving,
    /// Gate: all is as it should be.
    Alive,
    /// Gate: this vault hangs, or talks nonsense.
    Kill(Generation),
    /// Keeper: this vault has ended.
    Ended {
        /// Which.
        generation: Generation,
        /// **Seconds** after which a client may ask again.
        retry_after: u32,
    },
}

impl Note {
    /// The note as octets.
    fn to_octets(self) -> [u8; LEN] {
        let (kind, generation, seconds) = match self {
            Self::Proceed => (1, Generation(0), 0),
            Self::Serving => (2, Generation(0), 0),
            Self::Alive => (3, Generation(0), 0),
            Self::Kill(generation) => (4, generation, 0),
            Self::Ended { generation, retry_after } => (5, generation, retry_after),
        };
        let ([g0, g1, g2, g3], [s0, s1, s2, s3]) = (generation.0.to_be_bytes(), u32::to_be_bytes(seconds));
        [kind, g0, g1, g2, g3, s0, s1, s2, s3]
    }

    /// Reads octets.
    fn parse(octets: &[u8; LEN]) -> Option<Self> {
        let [kind, g0, g1, g2, g3, s0, s1, s2, s3] = *octets;
        let generation = Generation(u32::from_be_bytes([g0, g1, g2, g3]));
        let retry_after = u32::from_be_bytes([s0, s1, s2, s3]);
        let note = match kind {
            1 => Self::Proceed,
            2 => Self::Serving,
            3 => Self::Alive,
            4 => Self::Kill(generation),
            5 => Self::Ended { generation, retry_after },
            _ => return None,
        };
        (note.to_octets() == *octets).then_some(note)
    }

    /// Sends the note.
    ///
    /// # Errors
    /// What the system says: the other process is gone.
    pub(crate) fn tell(self, end: impl AsFd) -> io::Result<()> {
        packet::tell(end, &self.to_octets())
    }

    /// The next note, if one is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the other process is gone, [`io::ErrorKind::InvalidData`] if it talks nonsense.
    pub(crate) fn hear(end: impl AsFd) -> io::Result<Option<Self>> {
        let mut octets = [0; LEN];
        match packet::hear(end, &mut octets, false)? {
            Heard::Nothing => Ok(None),
            Heard::Gone => Err(io::ErrorKind::UnexpectedEof.into()),
            Heard::Packet(LEN) => {
                Self::parse(&octets).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
            Heard::Packet(_length) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_as_they_were() {
        let (one, other) = packet::pair().unwrap();
        let ended = Note::Ended { generation: Generation(9), retry_after: u32::MAX };
        for note in [Note::Proceed, Note::Serving, Note::Alive, Note::Kill(Generation(7)), ended] {
            note.tell(&one).unwrap();
            assert_eq!(Note::hear(&other).unwrap(), Some(note));
        }
        assert_eq!(Note::hear(&other).unwrap(), None);
        drop(one);
        assert_eq!(Note::hear(&other).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn nonsense_is_refused() {
        for octets in
            [&[0; 9][..], &[6; 9], &[1, 0, 0, 0, 1, 0, 0, 0, 0], &[4, 0, 0, 0, 1, 0, 0, 0, 1], &[1], &[1; 20]]
        {
            let (one, other) = packet::pair().unwrap();
            packet::tell(&one, octets).unwrap();
            assert_eq!(Note::hear(&other).unwrap_err().kind(), io::ErrorKind::InvalidData, "{octets:?}");
        }
    }
}
