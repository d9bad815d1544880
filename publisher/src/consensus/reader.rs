//! Reads a consensus that arrives in chunks, line by line, without holding its text.

use super::relay::{Entry, Wanted, once};
use super::{Consensus, ConsensusError, MicrodescReader, Params, Srv};
use crate::netdoc::{LineSplitter, base64_array, date, split_keyword};
use onionkeep_common::UnixTime;

/// Where in the document the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Before the first line.
    Start,
    /// Before the first relay.
    Preamble,
    /// Among the relays.
    Relays,
    /// After `directory-footer`.
    Footer,
    /// After a `directory-signature`, inside or outside its object.
    Signatures,
}

/// Takes a consensus in chunks, then turns into the [`MicrodescReader`].
///
/// Line ends must be single line feeds.
#[derive(Debug)]
pub struct ConsensusReader {
    /// Cuts the chunks into lines.
    lines: LineSplitter,
    /// What has been read.
    state: State,
}

/// What has been read so far.
#[derive(Debug)]
struct State {
    /// Where we are.
    part: Part,
    /// Number of the last line.
    line: usize,
    /// Whether a signature object has been opened and not closed.
    in_object: bool,
    /// `valid-after`.
    valid_after: Option<UnixTime>,
    /// `fresh-until`.
    fresh_until: Option<UnixTime>,
    /// `valid-until`.
    valid_until: Option<UnixTime>,
    /// `params`.
    params: Option<Params>,
    /// `shared-rand-previous-value`.
    srv_previous: Option<Srv>,
    /// `shared-rand-current-value`.
    srv_current: Option<Srv>,
    /// The relay being read.
    relay: Option<Entry>,
    /// HSDirs found.
    hsdirs: Vec<Wanted>,
    /// Relays found.
    relay_count: usize,
}

impl Default for ConsensusReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ConsensusReader {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            part: Part::Start,
            line: 0,
            in_object: false,
            valid_after: None,
            fresh_until: None,
            valid_until: None,
            params: None,
            srv_previous: None,
            srv_current: None,
            relay: None,
            hsdirs: Vec::new(),
            relay_count: 0,
        };
        Self { lines: LineSplitter::default(), state }
    }

    /// Takes the next octets of the text, cut anywhere.
    ///
    /// # Errors
    /// [`ConsensusError`] with the line; the reader is then of no more use.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), ConsensusError> {
        let state = &mut self.state;
        self.lines.push(chunk, |number, line| state.take_line(number, line))
    }

    /// Ends the text.
    ///
    /// # Errors
    /// [`ConsensusError`] if it is cut off, or a line that must be there is missing.
    pub fn end(self) -> Result<MicrodescReader, ConsensusError> {
        let mut state = self.state;
        if self.lines.unfinished().is_some() || state.in_object || state.part != Part::Signatures {
            return Err(ConsensusError::Truncated { line: state.line });
        }
        let missing = |keyword| ConsensusError::Missing { keyword };
        let valid_after = state.valid_after.ok_or_else(|| missing("valid-after"))?;
        let fresh_until = state.fresh_until.ok_or_else(|| missing("fresh-until"))?;
        let valid_until = state.valid_until.ok_or_else(|| missing("valid-until"))?;
        if valid_after >= fresh_until || fresh_until > valid_until {
            return Err(ConsensusError::Times);
        }
        let consensus = Consensus {
            valid_after,
            fresh_until,
            valid_until,
            params: state.params.unwrap_or_default(),
            srv_previous: state.srv_previous,
            srv_current: state.srv_current,
            hsdirs: Vec::new(),
            hsdirs_without_microdesc: 0,
            relay_count: state.relay_count,
        };
        state.hsdirs.shrink_to_fit();
        Ok(MicrodescReader::new(consensus, state.hsdirs))
    }
}

impl State {
    /// Takes one line.
    fn take_line(&mut self, line: usize, octets: &[u8]) -> Result<(), ConsensusError> {
        self.line = line;
        let (keyword, arguments) = match core::str::from_utf8(octets) {
            Ok(text) => split_keyword(text),
            Err(_not_text) if self.part == Part::Start => return Err(ConsensusError::NotAConsensus { line }),
            Err(_not_text) => return Err(ConsensusError::Malformed { line, keyword: "(not text)" }),
        };
        match self.part {
            Part::Start => self.start(line, keyword, arguments),
            Part::Preamble | Part::Relays if keyword == "r" => self.relay_line(line, arguments),
            Part::Preamble | Part::Relays if keyword == "directory-footer" => {
                self.part = Part::Footer;
                self.end_relay()
            }
            Part::Preamble => self.preamble_line(line, keyword, arguments),
            Part::Relays => self.relay.as_mut().map_or(Ok(()), |relay| relay.take(line, keyword, arguments)),
            Part::Footer | Part::Signatures => {
                self.footer_line(keyword, arguments);
                Ok(())
            }
        }
    }

    /// The first line says what the document is.
    fn start(&mut self, line: usize, keyword: &str, arguments: &str) -> Result<(), ConsensusError> {
        self.part = Part::Preamble;
        let good = keyword == "network-status-version" && arguments == "3 microdesc";
        if good { Ok(()) } else { Err(ConsensusError::NotAConsensus { line }) }
    }

    /// A line before the relays.
    fn preamble_line(&mut self, line: usize, keyword: &str, arguments: &str) -> Result<(), ConsensusError> {
        let malformed = |keyword| ConsensusError::Malformed { line, keyword };
        let time = |keyword| date::parse(arguments, ' ').ok_or_else(|| malformed(keyword));
        let srv = |keyword| srv(arguments).ok_or_else(|| malformed(keyword));
        match keyword {
            "valid-after" => once(&mut self.valid_after, time("valid-after")?, line, "valid-after"),
            "fresh-until" => once(&mut self.fresh_until, time("fresh-until")?, line, "fresh-until"),
            "valid-until" => once(&mut self.valid_until, time("valid-until")?, line, "valid-until"),
            "params" => {
                let params = Params::parse(arguments).ok_or_else(|| malformed("params"))?;
                once(&mut self.params, params, line, "params")
            }
            "shared-rand-previous-value" => {
                let key = "shared-rand-previous-value";
                once(&mut self.srv_previous, srv(key)?, line, key)
            }
            "shared-rand-current-value" => {
                let key = "shared-rand-current-value";
                once(&mut self.srv_current, srv(key)?, line, key)
            }
            _other => Ok(()),
        }
    }

    /// An `r` line ends one relay and starts the next.
    fn relay_line(&mut self, line: usize, arguments: &str) -> Result<(), ConsensusError> {
        self.part = Part::Relays;
        let before = self.relay.as_ref().map(|relay| relay.fingerprint);
        self.end_relay()?;
        let relay = Entry::new(line, arguments).ok_or(ConsensusError::Malformed { line, keyword: "r" })?;
        if before.is_some_and(|before| before >= relay.fingerprint) {
            return Err(ConsensusError::RelayOrder { line });
        }
        self.relay_count = self.relay_count.saturating_add(1);
        self.relay = Some(relay);
        Ok(())
    }

    /// Keeps the relay that has been read if it is an HSDir.
    fn end_relay(&mut self) -> Result<(), ConsensusError> {
        if let Some(relay) = self.relay.take() {
            self.hsdirs.extend(relay.finish()?);
        }
        Ok(())
    }

    /// A line after the relays: only the form matters, to notice a text that is cut off.
    fn footer_line(&mut self, keyword: &str, arguments: &str) {
        match (keyword, arguments) {
            ("directory-signature", _) => {
                self.part = Part::Signatures;
                self.in_object = true;
            }
            ("-----END", "SIGNATURE-----") => self.in_object = false,
            _other => {}
        }
    }
}

/// The value of a shared random line: `N VALUE`, further arguments are ignored.
///
/// Spec: dir-spec, 3.9.1 (`shared-rand-current-value`).
fn srv(arguments: &str) -> Option<Srv> {
    let mut fields = arguments.split([' ', '\t']).filter(|field| !field.is_empty());
    fields.next()?.parse::<u32>().ok()?;
    base64_array(fields.next()?).map(Srv)
}
