//! The gate's view of the vault: one question at a time over the inherited pair, each answered within its deadline.
//!
//! A vault that is late with an answer, with a step of its start, or talks nonsense is reported to the keeper, which
//! kills it. Whoever asks meanwhile is told when to come back; nobody waits for a vault that is not there.

use super::Certifier;
use super::message::{Answer, Ask, AskId, Generation, PACKET_MAX};
use crate::audit_key::AuditKey;
use crate::clock::{deadline_in, until};
use crate::log::{Level, line};
use crate::serve::line::Note;
use crate::serve::packet::{self, Heard};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a question may take, waiting for others included. A client is to be answered within 5 s.
pub const PATIENCE: Duration = Duration::from_millis(4500);
/// How long one step of a vault's start may take.
const STEP_PATIENCE: Duration = Duration::from_secs(8);
/// Questions that may wait for the one that is being answered.
const QUEUE: usize = 16;
/// **Seconds** after which a restarting vault may be there again.
const RESTARTING: u32 = 1;

/// What the vault is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was heard of the next one yet.
    Down {
        /// When asking again may help.
        retry_at: Instant,
    },
    /// It does the steps of its start.
    Starting {
        /// The next step must be done by then.
        deadline: Instant,
    },
    /// It answers.
    Ready,
}

/// A question that the vault has and has not answered.
struct Flight {
    /// Its id.
    id: AskId,
    /// The vault is late after this.
    deadline: Instant,
    /// The answer, until it is fetched.
    answer: Option<Answer>,
    /// Whether somebody still waits.
    awaited: bool,
}

/// What is known about the vault.
struct State {
    /// What it is doing.
    stage: Stage,
    /// The one that was heard last.
    generation: Generation,
    /// All up to this one have ended or are being killed.
    ended: Generation,
    /// What it was asked.
    flight: Option<Flight>,
    /// The last id that was given.
    last_id: u64,
    /// How many wait for their turn.
    waiting: usize,
    /// The token's audit key.
    audit: Option<AuditKey>,
}

/// Asks the vault.
pub struct VaultClient {
    /// To the vault.
    vault: OwnedFd,
    /// To the keeper.
    keeper: OwnedFd,
    /// Written to when a new deadline is to be watched.
    alarm: OwnedFd,
    /// What is known.
    state: Mutex<State>,
    /// Rung when something of it changes.
    changed: Condvar,
}

impl VaultClient {
    /// A client at the gate's end of the pair, and of the line to the keeper.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(vault: OwnedFd, keeper: OwnedFd) -> io::Result<Self> {
        let state = State {
            stage: Stage::Down { retry_at: Instant::now() },
            generation: Generation(0),
            ended: Generation(0),
            flight: None,
            last_id: 0,
            waiting: 0,
            audit: None,
        };
        let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { vault, keeper, alarm, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Says something to the keeper.
    ///
    /// # Errors
    /// What the system says: the keeper is gone.
    pub(crate) fn note(&self, note: Note) -> io::Result<()> {
        note.tell(&self.keeper)
    }

    /// Listens to vault and keeper until a vault is ready; its public audit key.
    ///
    /// # Errors
    /// What the system says: the keeper is gone.
    pub fn wait_ready(&self) -> io::Result<Option<AuditKey>> {
        while self.state().stage != Stage::Ready {
            self.listen()?;
        }
        Ok(self.state().audit)
    }

    /// Waits until vault or keeper say something or a deadline passes, and acts on it.
    ///
    /// # Errors
    /// What the system says: the keeper is gone. Then the gate must end.
    pub fn listen(&self) -> io::Result<()> {
        let wait =
            until(self.state().next_deadline().unwrap_or_else(|| deadline_in(Duration::from_secs(60))));
        let wait = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut ready = [&self.vault, &self.keeper, &self.alarm].map(|end| PollFd::new(end, PollFlags::IN));
        match poll(&mut ready, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [vault, keeper, alarm] = ready.map(|fd| !fd.revents().is_empty());
        if alarm {
            // The deadline that it announces is read from the state.
            let _already_off = rustix::io::read(&self.alarm, &mut [0_u8; 8]);
        }
        if vault {
            self.hear_vault()?;
        }
        if keeper {
            self.hear_keeper()?;
        }
        self.look_at_clock()
    }

    /// Fetches one packet of the vault.
    fn hear_vault(&self) -> io::Result<()> {
        let mut buffer = [0; PACKET_MAX];
        let Heard::Packet(length) = packet::hear(&self.vault, &mut buffer, false)? else { return Ok(()) };
        match buffer.get(..length).map(Answer::parse) {
            Some(Ok((id, answer))) => self.take(id, answer),
            Some(Err(error)) => self.distrust(&error.to_string()),
            None => self.distrust("its packet is too long"),
        }
    }

    /// Fetches one note of the keeper.
    fn hear_keeper(&self) -> io::Result<()> {
        match Note::hear(&self.keeper)? {
            Some(Note::Ended { generation, retry_after }) => self.state().end(generation, retry_after),
            Some(Note::Proceed | Note::Serving | Note::Alive | Note::Kill(_)) | None => {}
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Acts on an answer; one that nobody waits for is dropped.
    fn take(&self, id: AskId, answer: Answer) -> io::Result<()> {
        let mut state = self.state();
        match answer {
            Answer::Starting(generation) if generation > state.ended => {
                state.generation = generation;
                state.stage = Stage::Starting { deadline: deadline_in(STEP_PATIENCE) };
            }
            Answer::Ready { generation, audit } if generation > state.ended => {
                state.generation = generation;
                if state.audit.is_some() && state.audit != audit {
                    // Another token under the same name: nothing that it signs fits the ledger.
                    drop(state);
                    return self.distrust("its token has another audit key than the first");
                }
                state.stage = Stage::Ready;
                state.audit = audit;
            }
            Answer::Starting(_) | Answer::Ready { .. } => {}
            Answer::Certificate(_)
            | Answer::Well
            | Answer::HeadSignature(_)
            | Answer::DeviceLog(_)
            | Answer::Busy { .. }
            | Answer::Away { .. }
            | Answer::Failed(_) => state.land(id, answer),
        }
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Has a vault killed whose time is over.
    fn look_at_clock(&self) -> io::Result<()> {
        let late = self.state().next_deadline().is_some_and(|deadline| until(deadline).is_zero());
        if late { self.distrust("it does not answer in time") } else { Ok(()) }
    }

    /// Has the vault killed and waits for the next one.
    fn distrust(&self, why: &str) -> io::Result<()> {
        let mut state = self.state();
        let generation = state.generation;
        line(Level::Error, "vault-distrusted", &[("vault", &generation.0), ("why", &why)]);
        state.end(generation, RESTARTING);
        drop(state);
        self.changed.notify_all();
        self.note(Note::Kill(generation))
    }

    /// Waits for a turn and sends the question; its id.
    fn depart(&self, ask: &Ask, deadline: Instant) -> Result<AskId, Box<Answer>> {
        let mut state = self.state();
        if state.waiting >= QUEUE {
            return Err(Box::new(busy("too many wait for the token")));
        }
        state.waiting = state.waiting.saturating_add(1);
        while state.stage == Stage::Ready && state.flight.is_some() && !until(deadline).is_zero() {
            state = self.wait(state, deadline);
        }
        state.waiting = state.waiting.saturating_sub(1);
        if let Some(retry_after) = state.absence() {
            return Err(Box::new(away("the vault is being started", retry_after)));
        }
        if state.flight.is_some() {
            return Err(Box::new(busy("the token is slow and others are asking")));
        }
        state.last_id = state.last_id.saturating_add(1);
        let id = AskId(state.last_id);
        if let Err(error) = packet::tell(&self.vault, &ask.to_packet(id)) {
            return Err(Box::new(Answer::Failed(format!("the vault cannot be asked: {error}"))));
        }
        let late = deadline_in(PATIENCE);
        state.flight = Some(Flight { id, deadline: late, answer: None, awaited: true });
        // An alarm that cannot ring any louder rings already.
        let _rings = rustix::io::write(&self.alarm, &1_u64.to_ne_bytes());
        Ok(id)
    }

    /// Waits for the answer to a question that was sent.
    fn arrive(&self, id: AskId, deadline: Instant) -> Answer {
        let mut state = self.state();
        loop {
            let retry_after = state.absence().unwrap_or(RESTARTING);
            let Some(flight) = state.flight.as_mut().filter(|flight| flight.id == id) else {
                return away("the vault has ended", retry_after);
            };
            if let Some(answer) = flight.answer.take() {
                state.flight = None;
                drop(state);
                self.changed.notify_all();
                return answer;
            }
            if until(deadline).is_zero() {
                // The question stays with the vault, which is killed when its own time is over.
                flight.awaited = false;
                return away("the token does not answer in time", RESTARTING);
            }
            state = self.wait(state, deadline);
        }
    }

    /// What is known. A thread that ended in the middle left nothing by halves.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, not past `deadline`.
    fn wait<'s>(&self, state: MutexGuard<'s, State>, deadline: Instant) -> MutexGuard<'s, State> {
        self.changed.wait_timeout(state, until(deadline)).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl State {
    /// When the vault is late, if it is doing anything.
    fn next_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Down { .. } => None,
            Stage::Starting { deadline } => Some(deadline),
            Stage::Ready => {
                self.flight.as_ref().filter(|flight| flight.answer.is_none()).map(|flight| flight.deadline)
            }
        }
    }

    /// **Seconds** until a vault may be there; `None` if one is ready.
    fn absence(&self) -> Option<u32> {
        match self.stage {
            Stage::Ready => None,
            Stage::Starting { .. } => Some(RESTARTING),
            Stage::Down { retry_at } => {
                let seconds = u32::try_from(until(retry_at).as_secs()).unwrap_or(u32::MAX);
                Some(seconds.saturating_add(1))
            }
        }
    }

    /// Notes that a vault is no more; a later one that was heard already stays.
    fn end(&mut self, generation: Generation, retry_after: u32) {
        self.ended = self.ended.max(generation);
        if self.generation <= generation {
            self.stage = Stage::Down { retry_at: deadline_in(Duration::from_secs(u64::from(retry_after))) };
            // An answer that is there was given before the end.
            self.flight = self.flight.take().filter(|flight| flight.answer.is_some());
        }
    }

    /// Gives an answer to the question that it belongs to.
    fn land(&mut self, id: AskId, answer: Answer) {
        match self.flight.as_mut().filter(|flight| flight.id == id) {
            Some(flight) if flight.awaited => drop(flight.answer.get_or_insert(answer)),
            Some(_forsaken) => self.flight = None,
            None => {}
        }
    }
}

impl Certifier for VaultClient {
    fn ask(&self, ask: Ask) -> Answer {
        let deadline = deadline_in(PATIENCE);
        match self.depart(&ask, deadline) {
            Ok(id) => self.arrive(id, deadline),
            Err(answer) => *answer,
        }
    }
}

/// The answer while there is no vault.
fn away(why: &str, retry_after: u32) -> Answer {
    Answer::Away { why: why.to_owned(), retry_after }
}

/// The answer while others ask.
fn busy(why: &str) -> Answer {
    Answer::Busy { why: why.to_owned(), retry_after: 1 }
}

#[cfg(test)]
mod tests;
