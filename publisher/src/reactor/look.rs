//! What an HSDir gives when it is asked for our own descriptor: compared with what it took.

use super::act::Hands;
use super::frontend::Frontend;
use super::other::{Judged, Seen};
use super::period::{Answer, Period};
use crate::consensus::Fingerprint;
use crate::descriptor;
use crate::log;
use crate::schedule::{Event, Found};
use crate::tor::FetchFailure;
use memchr::memchr;
use onionkeep_common::{TimePeriod, UnixTime};
use sha2::{Digest, Sha256};

/// What became of the copy that an HSDir took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// It gave exactly that, or another copy of ours that is no older.
    Held,
    /// It gave one with a higher counter, which another publisher wrote.
    OtherNewer,
    /// It gave one that ours should have replaced.
    OtherOlder,
    /// It gave none.
    Missing,
}

impl Copy {
    /// The word for status and log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::OtherNewer | Self::OtherOlder => "other",
            Self::Missing => "missing",
        }
    }

    /// Whether clients that ask there get a descriptor that is to be.
    pub(super) const fn is_good(self) -> bool {
        matches!(self, Self::Held | Self::OtherNewer)
    }

    /// What it means for the schedule.
    const fn found(self) -> Found {
        match self {
            Self::Held => Found::Ours,
            Self::OtherNewer => Found::Newer,
            Self::OtherOlder => Found::Older,
            Self::Missing => Found::Missing,
        }
    }
}

/// A look at one HSDir.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// What became of our copy.
    pub(super) copy: Copy,
    /// The counter of what it gave.
    pub(super) revision: Option<u64>,
    /// When.
    pub(super) at: UnixTime,
}

/// A hash of a descriptor by its lines: line ends change on the way.
pub(super) fn hash(text: &[u8]) -> [u8; 32] {
    let (mut hash, mut rest) = (Sha256::new(), text.trim_ascii_end());
    // Whole pieces without a carriage return are hashed as they stand: tor's connection gives no other.
    while let Some(at) = memchr(b'\r', rest) {
        let (piece, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        hash.update(piece);
        rest = after.strip_prefix(b"\r").unwrap_or_default();
        if !rest.starts_with(b"\n") {
            hash.update(b"\r");
        }
    }
    hash.update(rest);
    hash.finalize().into()
}

impl Answer {
    /// The word for what is known of our copy there.
    pub(super) fn copy_name(&self) -> &'static str {
        let acknowledged =
            self.stored.map(|(revision, _at)| revision) >= self.sent.map(|(revision, _hash)| revision);
        match self.look {
            Some(look) => look.copy.name(),
            None if self.sent.is_none() => "none",
            None if acknowledged => "acknowledged",
            None => "sent",
        }
    }
}

impl Period {
    /// The counter of a descriptor with this hash if it is what the HSDir was sent, and its certificate has not ended.
    pub(super) fn sent_and_timely(&self, hsdir: &Fingerprint, hash: &[u8; 32], now: UnixTime) -> Option<u64> {
        let answer = self.answers.get(hsdir)?;
        let (revision, _hash) = answer.sent.filter(|(_revision, sent)| sent == hash)?;
        answer.sent_until.is_some_and(|end| !end.is_past(now)).then_some(revision)
    }

    /// Whether any HSDir was sent a copy with this hash last.
    fn was_sent(&self, hash: &[u8; 32]) -> bool {
        let mut sent = self.answers.values().filter_map(|answer| answer.sent);
        sent.any(|(_revision, sent)| sent == *hash)
    }

    /// What a descriptor with this counter and hash is, against what the HSDir took; `None` if it took nothing.
    pub(super) fn judge(&self, hsdir: &Fingerprint, given: Option<(u64, [u8; 32])>) -> Option<Copy> {
        let answer = self.answers.get(hsdir)?;
        let (sent, sent_hash) = answer.sent?;
        let Some((revision, hash)) = given else { return Some(Copy::Missing) };
        Some(match revision.cmp(&sent) {
            std::cmp::Ordering::Equal if hash == sent_hash => Copy::Held,
            // What another HSDir took of ours can reach this one: whoever brings it there is no publisher.
            std::cmp::Ordering::Equal if self.was_sent(&hash) => Copy::Held,
            std::cmp::Ordering::Greater if self.is_ours(revision) => Copy::Held,
            // The same counter in the same second, and the other publisher was first.
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Copy::OtherNewer,
            std::cmp::Ordering::Less => Copy::OtherOlder,
        })
    }
}

impl Frontend {
    /// An HSDir was asked for our descriptor.
    pub(super) fn looked(
        &mut self,
        at: TimePeriod,
        hsdir: Fingerprint,
        answer: Result<Vec<u8>, FetchFailure>,
        hands: &mut Hands<'_>,
    ) {
        let address = self.config.address;
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let read = |text: Vec<u8>| {
            let hash = hash(&text);
            // What we signed ourselves and gave this HSDir need not be verified; only its certificate may have ended since.
            if let Some(revision) = period.sent_and_timely(&hsdir, &hash, hands.now) {
                return Ok(Some((revision, hash)));
            }
            let revision = descriptor::revision(&text, &address, at, hands.now);
            revision.map(|revision| Some((revision, hash))).map_err(|error| error.to_string())
        };
        let given = match answer {
            Ok(text) => read(text),
            Err(FetchFailure::NotFound) => Ok(None),
            Err(failure) => Err(failure.to_string()),
        };
        let found = match given {
            Ok(given) => {
                let Some(copy) = period.judge(&hsdir, given) else { return };
                let revision = given.map(|(revision, _hash)| revision);
                let before = period.answers.get(&hsdir).and_then(|answer| answer.look);
                if let Some(answer) = period.answers.get_mut(&hsdir) {
                    answer.look = Some(Look { copy, revision, at: hands.now });
                }
                let line = if copy.is_good() { log::info("looked") } else { log::warn("looked") };
                let line = line.with("period", at.number).with("hsdir", hsdir).with("copy", copy.name());
                if before.is_none_or(|before| before.copy != copy) {
                    self.line(line.maybe("revision", revision)).write();
                }
                if let (Copy::OtherNewer, Some(revision)) = (copy, revision) {
                    self.other_seen(at, revision, hands.now);
                }
                copy.found()
            }
            Err(problem) => {
                let line = log::info("looked").with("period", at.number).with("hsdir", hsdir);
                self.line(line.with("problem", problem)).write();
                Found::Unclear
            }
        };
        self.feed(Event::Looked(at, hsdir, found), hands);
    }

    /// A descriptor that we did not write has this counter, higher than ours.
    pub(super) fn other_seen(&mut self, at: TimePeriod, revision: u64, now: UnixTime) {
        let desc = self.machine.descs().iter().find(|desc| desc.plan().role.period == at);
        let Some(run_start) = desc.map(|desc| desc.plan().role.run_start) else { return };
        let Some(period) = self.periods.iter_mut().find(|period| period.state.period == at) else { return };
        let own = period.last.map_or(0, |last| last.revision);
        let seen = Seen { revision, own, now, run_start };
        let judged = period.see_other(&seen);
        let line = log::info("other-publisher").with("period", at.number).with("revision", revision);
        match judged {
            Judged::Known => {}
            Judged::Peer { ahead } => {
                let line = line.with("counter-secret", "the same");
                self.line(line.maybe("clock-ahead-by", ahead)).write();
            }
            Judged::Unsure => self.line(line.with("counter-secret", "unsure")).write(),
            Judged::Stranger => {
                let line =
                    log::error("publishers-differ").with("period", at.number).with("revision", revision);
                self.line(line.with("meaning", super::other::DIFFERS).with("try", super::other::COPY_SECRET))
                    .write();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::period::tests::{RUN, period};
    use super::*;
    use onionkeep_common::ExpirationHours;

    #[test]
    fn line_ends_do_not_count_and_everything_else_does() {
        assert_eq!(hash(b"a\nb\n"), hash(b"a\r\nb"));
        assert_ne!(hash(b"a\nb\n"), hash(b"a\nc\n"));
        assert_ne!(hash(b"a\nb\n"), hash(b"ab\n"));
        assert_ne!(hash(b"a\rb\n"), hash(b"ab\n"), "a carriage return alone ends no line");
        assert_ne!(hash(b"a\r\r\nb\n"), hash(b"a\r\nb\n"));
        assert_eq!(hash(b"a\nb \r\n\r\n"), hash(b"a\nb"));
    }

    #[test]
    fn what_an_hsdir_gives_is_compared_with_what_it_took() {
        let mut period = period(1);
        let hsdir = Fingerprint([1; 20]);
        assert_eq!(period.judge(&hsdir, None), None, "nothing was sent to it");
        period.uploaded(RUN, 50, false, &[]);
        period.sent(RUN, hsdir, 50, "a\nb\n");
        let ours = hash(b"a\nb\n");
        assert_eq!(period.judge(&hsdir, Some((50, ours))), Some(Copy::Held));
        assert_eq!(
            period.judge(&hsdir, Some((50, hash(b"x")))),
            Some(Copy::OtherNewer),
            "another's of the same second"
        );
        assert_eq!(period.judge(&hsdir, Some((51, ours))), Some(Copy::OtherNewer));
        assert_eq!(period.judge(&hsdir, Some((49, ours))), Some(Copy::OtherOlder));
        assert_eq!(period.judge(&hsdir, None), Some(Copy::Missing));
    }

    #[test]
    fn a_copy_of_ours_for_another_hsdir_is_no_other_publishers() {
        let mut period = period(1);
        let [x, y] = [1, 2].map(|octet| Fingerprint([octet; 20]));
        period.uploaded(RUN, 50, false, &[]);
        period.sent(RUN, x, 50, "a");
        period.sent(RUN, y, 50, "b");
        assert_eq!(
            period.judge(&x, Some((50, hash(b"b")))),
            Some(Copy::Held),
            "the other one's of that upload"
        );
        for revision in [55, 60] {
            period.uploaded(RUN, revision, true, &[]);
            period.sent(RUN, y, revision, "c");
        }
        assert_eq!(
            period.judge(&x, Some((60, hash(b"c")))),
            Some(Copy::Held),
            "what the other one got later"
        );
        assert_eq!(period.judge(&x, Some((55, hash(b"-")))), Some(Copy::Held), "what it got in between");
        assert_eq!(period.judge(&x, Some((61, hash(b"-")))), Some(Copy::OtherNewer), "that is not ours");
        assert_eq!(period.judge(&x, Some((50, hash(b"-")))), Some(Copy::OtherNewer), "nor that");
    }

    #[test]
    fn what_was_sent_is_known_by_its_hash_until_its_certificate_ends() {
        let (mut period, hsdir) = (period(1), Fingerprint([1; 20]));
        period.uploaded(RUN, 50, false, &[]);
        period.sent(RUN, hsdir, 50, "a\nb\n");
        let known =
            |period: &Period, hsdir, text: &[u8], now| period.sent_and_timely(&hsdir, &hash(text), now);
        assert_eq!(known(&period, hsdir, b"a\nb\n", RUN), None, "it had no certificate");
        let end = ExpirationHours(u32::try_from(RUN.0 / 3600).unwrap() + 2);
        period.answers.get_mut(&hsdir).unwrap().sent_until = Some(end);
        assert_eq!(known(&period, hsdir, b"a\r\nb\r\n", RUN), Some(50));
        assert_eq!(known(&period, hsdir, b"a\nc\n", RUN), None, "another text");
        assert_eq!(known(&period, Fingerprint([2; 20]), b"a\nb\n", RUN), None, "another HSDir");
        assert_eq!(known(&period, hsdir, b"a\nb\n", end.time().plus(1)), None, "the certificate has ended");
    }

    #[test]
    fn an_hsdir_counts_until_a_look_tells_otherwise_and_again_from_the_next_upload_on() {
        let mut period = period(1);
        let hsdir = Fingerprint([1; 20]);
        let look = |copy| Some(Look { copy, revision: None, at: RUN });
        period.uploaded(RUN, 50, false, &[]);
        period.sent(RUN, hsdir, 50, "a");
        assert!(!period.is_current(&period.answers[&hsdir]), "sent is not stored");
        period.answered(RUN, hsdir, "stored".to_owned(), Some(50));
        assert!(period.is_current(&period.answers[&hsdir]));
        for (copy, good) in
            [(Copy::Missing, false), (Copy::OtherOlder, false), (Copy::OtherNewer, true), (Copy::Held, true)]
        {
            period.answers.get_mut(&hsdir).unwrap().look = look(copy);
            assert_eq!(period.is_current(&period.answers[&hsdir]), good, "{copy:?}");
        }
        period.answers.get_mut(&hsdir).unwrap().look = look(Copy::Missing);
        period.uploaded(RUN, 60, true, &[]);
        period.sent(RUN, hsdir, 60, "a");
        period.answered(RUN, hsdir, "stored".to_owned(), Some(60));
        assert!(period.is_current(&period.answers[&hsdir]));
        period.uploaded(RUN, 70, false, &[]);
        assert!(!period.is_current(&period.answers[&hsdir]), "another round");
    }
}
