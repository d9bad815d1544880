//! One descriptor at work: its state on disk, the keys derived from it, and what became of its uploads.

use super::look::{self, Look};
use super::other::{Judged, Other, Seen};
use super::takeover::Takeover;
use crate::consensus::Fingerprint;
use crate::descriptor::{BuildError, Draft, size_class};
use crate::merge::{Choice, Memo, Merged, Places};
use crate::revision::{CounterKey, MAX_POSITION, position};
use crate::state::PeriodState;
use onionkeep_common::cert::{CertType, UncheckedCert};
use onionkeep_common::keys::KeyError;
use onionkeep_common::{
    BlindedId, EncodedCert, ExpirationHours, IntroAuthKey, OnionAddress, Subcredential, UnixTime,
};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// How far the counter is raised when an HSDir has seen a higher one that we cannot learn: about 17 minutes.
///
/// Two secrets give curves that differ by some 340 s (one standard deviation) at the end of a period.
///
/// Spec: rend-spec-v3, F.2.
const RAISE: u64 = 1 << 25;
/// The counter is raised by at most `RAISE << RAISE_MOST` at once.
const RAISE_MOST: u32 = 8;
/// Octets of one salt.
const SALT_LEN: usize = 16;

/// What is known of one HSDir: what it was sent, what it said, and what it gave.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// The last copy for it: its counter, and a hash of it.
    pub(super) sent: Option<(u64, [u8; 32])>,
    /// The end of the certificate in that copy.
    pub(super) sent_until: Option<ExpirationHours>,
    /// What it gave at the last look since that.
    pub(super) look: Option<Look>,
    /// The word for the status.
    pub(super) result: String,
    /// When.
    pub(super) at: Option<UnixTime>,
    /// Counter of the last upload that it confirmed, and when.
    pub(super) stored: Option<(u64, UnixTime)>,
    /// Whether it has refused what it was sent, and stored nothing since.
    pub(super) refuses: bool,
}

/// A descriptor that was uploaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastUpload {
    /// When.
    pub(super) at: UnixTime,
    /// Its counter.
    pub(super) revision: u64,
    /// The counter of the last upload to all HSDirs; what was uploaded since went to some of them anew.
    pub(super) round: u64,
    /// How many points it lists.
    pub(super) points: usize,
    /// Octets of its longest copy.
    pub(super) octets: usize,
    /// Blocks that its middle layer was padded to.
    pub(super) blocks: usize,
}

/// One descriptor at work.
pub(super) struct Period {
    /// What is on disk, but for changes that could not be written yet.
    pub(super) state: PeriodState,
    /// Whether its keys are on disk: without them nothing is uploaded.
    pub(super) keys_written: bool,
    /// The frontend's blinded key.
    pub(super) blinded: BlindedId,
    /// Its subcredential.
    subcredential: Subcredential,
    /// The key of the counters.
    counter: CounterKey,
    /// What is to be listed.
    pub(super) merged: Merged,
    /// What is remembered of those points.
    pub(super) memo: Memo,
    /// What each set listed last, or all of it in one list if an earlier run of this publisher uploaded it.
    pub(super) listed: Vec<Vec<IntroAuthKey>>,
    /// The last upload.
    pub(super) last: Option<LastUpload>,
    /// What each HSDir said.
    pub(super) answers: BTreeMap<Fingerprint, Answer>,
    /// How far it is taken over from another publisher.
    pub(super) takeover: Takeover,
    /// Another publisher of the address, if one was seen.
    pub(super) other: Other,
    /// The certificate that was verified last, and its end if it was good.
    verified: Cell<Option<(EncodedCert, Option<ExpirationHours>)>>,
    /// Refused uploads in a row.
    refusals: u32,
    /// The number of the last upload that was refused.
    refused: Option<u64>,
}

/// Why no descriptor was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    /// There is no certificate.
    #[error("there is no certificate yet")]
    NoCertificate,
    /// The counter.
    #[error(transparent)]
    Position(#[from] crate::revision::PositionError),
    /// The descriptor.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
}

impl Period {
    /// Puts a period to work.
    pub(super) fn new(onion: &OnionAddress, state: PeriodState, secret: &[u8; 32]) -> Result<Self, KeyError> {
        let blinded = onion.identity().blinded(state.period)?;
        Ok(Self {
            subcredential: onion.identity().credential().subcredential(&blinded),
            counter: CounterKey::derive(secret, onion, state.period),
            blinded,
            merged: Merged::default(),
            memo: Memo::default(),
            listed: vec![state.listed.clone()],
            state,
            keys_written: true,
            last: None,
            answers: BTreeMap::new(),
            takeover: Takeover::None,
            other: Other::default(),
            verified: Cell::new(None),
            refusals: 0,
            refused: None,
        })
    }

    /// The end of the certificate. Its signature is verified when it is new.
    pub(super) fn cert_expires(&self) -> Option<ExpirationHours> {
        let cert = self.state.cert?;
        if let Some((_same, end)) = self.verified.get().filter(|(known, _end)| *known == cert) {
            return end;
        }
        let end = expires(&cert);
        self.verified.set(Some((cert, end)));
        end
    }

    /// Moves the counter on for an upload at `now`. The caller writes the state before it uploads.
    pub(super) fn advance(&mut self, now: UnixTime, run_start: UnixTime) -> Result<u64, MakeError> {
        let curve = self.counter.counter_at(position(now, run_start))?;
        let revision = self.state.next_revision(curve);
        self.state.revision = revision;
        self.state.listed = self.merged.keys().into_iter().collect();
        Ok(revision)
    }

    /// The keys of all points that this descriptor lists or is to list.
    pub(super) fn keys(&self) -> BTreeSet<IntroAuthKey> {
        let listed = self.listed.iter().flatten().copied();
        self.merged.keys().into_iter().chain(listed).collect()
    }

    /// Notes that what is to be listed is on its way; `again`: only to HSDirs that did not store the upload before.
    pub(super) fn uploaded(
        &mut self,
        now: UnixTime,
        revision: u64,
        again: bool,
        copies: &[(Fingerprint, String)],
    ) {
        let octets = copies.iter().map(|(_hsdir, text)| text.len()).max().unwrap_or_default();
        let points = self.state.listed.len();
        let round = self.last.filter(|_last| again).map_or(revision, |last| last.round);
        self.last = Some(LastUpload { at: now, revision, round, points, octets, blocks: size_class(octets) });
        self.listed = self.merged.sets.iter().map(Choice::keys).collect();
    }

    /// Makes one copy for each HSDir with the points of its set, each encrypted anew, all with one counter.
    pub(super) fn make(
        &self,
        now: UnixTime,
        places: &Places,
        max_descriptor_size: u32,
        hsdirs: &[Fingerprint],
    ) -> Result<Vec<(Fingerprint, String)>, MakeError> {
        let mut copies = Vec::new();
        let sets = self.merged.sets.len();
        for (number, choice) in self.merged.sets.iter().enumerate() {
            // A plan that has just changed may count more sets than were chosen.
            let is_own = |hsdir: &&Fingerprint| places.set(hsdir).checked_rem(sets) == Some(number);
            let own: Vec<_> = hsdirs.iter().filter(is_own).copied().collect();
            if !own.is_empty() {
                copies.extend(self.make_set(now, choice, max_descriptor_size, &own)?);
            }
        }
        Ok(copies)
    }

    /// Makes the copies that list the same points.
    fn make_set(
        &self,
        now: UnixTime,
        choice: &Choice,
        max_descriptor_size: u32,
        hsdirs: &[Fingerprint],
    ) -> Result<Vec<(Fingerprint, String)>, MakeError> {
        let points = choice.listed();
        let draft = Draft {
            blinded: &self.blinded,
            subcredential: &self.subcredential,
            cert08: self.state.cert.as_ref().ok_or(MakeError::NoCertificate)?,
            keys: &self.state.keys,
            revision: self.state.revision,
            flow_control: choice.flow_control.as_ref(),
            single_onion: choice.single_onion,
            clients: self.merged.clients.as_deref(),
            intro_points: &points,
            max_descriptor_size,
            now,
        };
        let prepared = draft.prepare()?;
        let copy = |hsdir: &Fingerprint| {
            let mut salts = [[0; SALT_LEN]; 2];
            getrandom::fill(salts.as_flattened_mut())?;
            Ok((*hsdir, prepared.encode(salts)?))
        };
        hsdirs.iter().map(copy).collect()
    }

    /// A copy for an HSDir is made and on its way.
    pub(super) fn sent(&mut self, now: UnixTime, hsdir: Fingerprint, revision: u64, text: &str) {
        self.answered(now, hsdir, "sent".to_owned(), None);
        let until = self.cert_expires();
        let answer = self.answers.entry(hsdir).or_default();
        (answer.sent, answer.look) = (Some((revision, look::hash(text.as_bytes()))), None);
        answer.sent_until = until;
    }

    /// Whether an HSDir gives, as far as we know, what this descriptor is to be.
    pub(super) fn is_current(&self, answer: &Answer) -> bool {
        let Some(last) = self.last else { return false };
        answer.stored.is_some_and(|(revision, _at)| revision >= last.round)
            && answer.look.is_none_or(|look| look.copy.is_good())
    }

    /// Notes what an HSDir said.
    pub(super) fn answered(
        &mut self,
        now: UnixTime,
        hsdir: Fingerprint,
        result: String,
        stored: Option<u64>,
    ) {
        let answer = self.answers.entry(hsdir).or_default();
        answer.result = result;
        answer.at = Some(now);
        if let Some(revision) = stored {
            (answer.stored, answer.refuses) = (Some((revision, now)), false);
            self.refusals = 0;
        }
    }

    /// Whether all these HSDirs have confirmed the last upload to all, or a later one to them.
    pub(super) fn is_held_by(&self, hsdirs: &[Fingerprint]) -> bool {
        let round = self.last.map(|last| last.round);
        let held = |hsdir: &Fingerprint| self.answers.get(hsdir)?.stored.map(|(revision, _at)| revision);
        round.is_some() && hsdirs.iter().all(|hsdir| held(hsdir) >= round)
    }

    /// Whether a counter is that of the last upload to all, or of a later one.
    pub(super) fn is_ours(&self, revision: u64) -> bool {
        self.last.is_some_and(|last| (last.round..=last.revision).contains(&revision))
    }

    /// The HSDirs have told the highest counter that they hold; true if that was news.
    pub(super) fn learned(&mut self, highest: Option<u64>) -> bool {
        let news = highest.is_some_and(|highest| self.seen(highest));
        if !news && self.is_refused() {
            self.raise();
        }
        news
    }

    /// An HSDir has refused the upload with this number; `asked_for`: the HSDirs can be asked for their counters.
    pub(super) fn refused(&mut self, hsdir: Fingerprint, number: u64, asked_for: bool) {
        self.answers.entry(hsdir).or_default().refuses = true;
        if self.first_refusal(number) && !asked_for {
            self.raise();
        }
    }

    /// Somebody else's descriptor with a higher counter was seen: judges it, and goes above it from now on.
    pub(super) fn see_other(&mut self, seen: &Seen) -> Judged {
        self.seen(seen.revision);
        self.other.see(seen, &self.counter)
    }

    /// The key of its counters.
    pub(super) const fn counter_key(&self) -> &CounterKey {
        &self.counter
    }

    /// Takes the highest counter that an HSDir has shown; true if that was news.
    pub(super) fn seen(&mut self, revision: u64) -> bool {
        let news = revision > self.state.revision;
        self.state.revision = self.state.revision.max(revision);
        news
    }

    /// An upload was refused for the first time: true unless this is about the same upload again, or an HSDir that is alone in refusing
    /// does so once more.
    fn first_refusal(&mut self, number: u64) -> bool {
        let first = self.refused != Some(number) && (self.refusals == 0 || self.is_refused_by_several());
        if first {
            self.refused = Some(number);
            self.refusals = self.refusals.saturating_add(1);
        }
        first
    }

    /// Whether more than one HSDir refuses what it was sent since the last upload to all, or every one. One alone may do so whatever it is
    /// sent.
    fn is_refused_by_several(&self) -> bool {
        let round = self.last.map_or(0, |last| last.round);
        let sent = |answer: &&Answer| answer.sent.is_some_and(|(revision, _hash)| revision >= round);
        let sent = self.answers.values().filter(sent);
        let (refusing, others): (Vec<_>, Vec<_>) = sent.partition(|answer| answer.refuses);
        refusing.len() > 1 || others.is_empty()
    }

    /// Whether an HSDir refuses what it is sent.
    pub(super) fn is_refused_by(&self, hsdir: &Fingerprint) -> bool {
        self.answers.get(hsdir).is_some_and(|answer| answer.refuses)
    }

    /// Whether an upload was refused since the last one that was stored.
    pub(super) const fn is_refused(&self) -> bool {
        self.refusals > 0
    }

    /// Raises the counter above what HSDirs may have seen, each time further; not at the first refusal. That may have been an
    /// upload of the same second by a peer, whom the next try passes by the time alone; a raise would put ours so far above the
    /// curve that the peer would be refused for minutes. Nor above the end of the curve: no publisher comes there by the time.
    fn raise(&mut self) {
        let Some(further) = self.refusals.checked_sub(2) else { return };
        let raised = self.state.revision.saturating_add(RAISE << further.min(RAISE_MOST));
        let end = self.counter.counter_at(MAX_POSITION).unwrap_or_default();
        self.state.revision = self.state.revision.max(raised.min(end));
    }
}

/// The end of a certificate; `None` if its signature is not good.
pub(super) fn expires(cert: &EncodedCert) -> Option<ExpirationHours> {
    let cert = UncheckedCert::parse(CertType::DescSigning, &cert.0).ok()?;
    Some(cert.check_signature().ok()?.dangerously_assume_timely().expires())
}

#[cfg(test)]
pub(super) mod tests;
