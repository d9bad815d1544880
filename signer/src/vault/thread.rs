//! The vault in a thread of its own, each question with a deadline: a token that hangs must not hang the gate.

use super::{Answer, Ask, Certifier, Vault};
use crate::clock::{deadline_in, until};
use crate::token::Token;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Questions that may wait for the token.
const QUEUE: usize = 16;
/// Stack of the thread in octets; vendors' libraries want more than we do.
const STACK: usize = 1 << 20;

/// How long the token may take to be closed when the signer stops.
const CLOSING: Duration = Duration::from_secs(1);

/// A question on its way.
struct Question {
    /// What is asked.
    ask: Ask,
    /// Nobody waits any more after this.
    deadline: Instant,
    /// Where the answer goes.
    answer: SyncSender<Answer>,
}

/// Asks the vault's thread; closes the token when dropped.
pub struct VaultThread {
    /// To the thread; `None` once it was told to end.
    questions: Option<SyncSender<Question>>,
    /// Disconnected once the thread has closed the token.
    closed: Mutex<Receiver<()>>,
    /// How long an answer may take.
    patience: Duration,
}

impl VaultThread {
    /// Moves the vault into its thread.
    ///
    /// # Errors
    /// What the system says if there can be no thread.
    pub fn start<T: Token + 'static>(vault: Vault<T>, patience: Duration) -> io::Result<Self> {
        let (questions, received) = sync_channel(QUEUE);
        let builder = std::thread::Builder::new().name("vault".to_owned()).stack_size(STACK);
        let (closing, closed) = sync_channel(0);
        let _detached = builder.spawn(move || {
            work(vault, &received);
            drop(closing);
        })?;
        Ok(Self { questions: Some(questions), closed: Mutex::new(closed), patience })
    }
}

/// Answers until nobody can ask any more. A question whose asker is gone is passed over.
fn work<T: Token>(mut vault: Vault<T>, questions: &Receiver<Question>) {
    for question in questions {
        if until(question.deadline).is_zero() {
            continue;
        }
        let answer = vault.answer(&question.ask);
        // The asker may have given up in the meantime; the ledger has the question either way.
        let _nobody_waits = question.answer.try_send(answer);
    }
}

impl Drop for VaultThread {
    fn drop(&mut self) {
        drop(self.questions.take());
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        // A token that hangs is left to the end of the process.
        let _closed_or_hanging = closed.recv_timeout(CLOSING);
    }
}

impl Certifier for VaultThread {
    fn ask(&self, ask: Ask) -> Answer {
        let (answer, answered) = sync_channel(1);
        let deadline = deadline_in(self.patience);
        let away = |why: &str| Answer::Away { why: why.to_owned(), retry_after: 10 };
        let Some(to) = &self.questions else { return Answer::Failed("the vault was ended".to_owned()) };
        match to.try_send(Question { ask, deadline, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_question)) => return away("the token hangs and others wait for it"),
            Err(TrySendError::Disconnected(_question)) => {
                return Answer::Failed("the vault has ended".to_owned());
            }
        }
        match answered.recv_timeout(self.patience) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => away("the token does not answer in time"),
            Err(RecvTimeoutError::Disconnected) => Answer::Failed("the vault has ended".to_owned()),
        }
    }
}
