//! The task that owns a connection: writes commands, reads replies, routes events, watches the deadlines.
//!
//! tor answers in the order of the commands, so the waiting requests stand in a queue. A command that is not answered in time
//! ends the connection, because the next reply could then belong to either.

use super::auth;
use super::config::TorConfig;
use super::error::TorError;
use super::events::{Event, SUBSCRIBED, TorEvent};
use super::framing::{Commands, FrameFault, Replies, Whole};
use super::open::{Open, Outcome};
use super::reply::Reply;
use super::stream::ControlStream;
use super::turns::Turns;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// Octets read ahead before the connection is split.
const READ_AHEAD: usize = 1024;
/// News that may wait for the reactor. It gets a few an hour; when this many wait it has stopped reading. Descriptors may fill half of it.
const NEWS_QUEUE: usize = 256;
/// Commands that may wait to be written.
const COMMAND_QUEUE: usize = 32;

/// The deadlines of a connection; only tests change them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connecting, authenticating, subscribing.
    pub(super) start: Duration,
    /// From writing a command to its reply.
    pub(super) reply: Duration,
    /// Between two pieces of a large answer.
    pub(super) progress: Duration,
    /// All of a large answer.
    pub(super) bulk: Duration,
    /// Octets of a large answer.
    pub(super) bulk_octets: u64,
    /// How many descriptors are fetched at the same time, and how many of them for one service.
    pub(super) fetches: (usize, usize),
    /// How long a fetch waits for its turn.
    pub(super) turn: Duration,
}

impl Limits {
    /// What the publisher uses.
    ///
    /// tor builds 32 circuits for clients at the same time (`MaxClientCircuitsPending`) and looks at all circuits for each
    /// request that waits for one; so the requests wait here. A fetch waits for less time than the schedule waits for its
    /// answer.
    pub(super) const USUAL: Self = Self {
        start: Duration::from_secs(15),
        reply: Duration::from_secs(30),
        progress: Duration::from_secs(20),
        bulk: Duration::from_secs(120),
        bulk_octets: 64 * 1024 * 1024,
        fetches: (24, 20),
        turn: Duration::from_secs(240),
    };
}

/// A command on its way to tor.
struct Command {
    /// What messages call it; no secret stands in it.
    name: String,
    /// Its octets, line end included.
    octets: Vec<u8>,
    /// Where the reply goes.
    reply: oneshot::Sender<Reply>,
}

/// A command that tor has not answered yet.
struct Unanswered {
    /// Its number.
    number: u64,
    /// What messages call it.
    name: String,
    /// When its reply is overdue.
    due: Instant,
    /// Where the reply goes.
    reply: oneshot::Sender<Reply>,
}

/// The queue of unanswered commands, shared by the three parts of the owner task.
#[derive(Default)]
struct Queue {
    /// First in, first answered; with the number of the last command.
    waiting: Mutex<(VecDeque<Unanswered>, u64)>,
    /// Woken when a command joins.
    joined: Notify,
}

impl Queue {
    /// The queue. A panic elsewhere leaves it usable.
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Unanswered>, u64)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a command that is about to be written.
    fn join(&self, name: String, due: Instant, reply: oneshot::Sender<Reply>) {
        let mut queue = self.lock();
        queue.1 = queue.1.wrapping_add(1);
        let number = queue.1;
        queue.0.push_back(Unanswered { number, name, due, reply });
        drop(queue);
        self.joined.notify_one();
    }

    /// Takes the command that a reply belongs to.
    fn leave(&self) -> Option<Unanswered> {
        self.lock().0.pop_front()
    }

    /// Number, name and deadline of the oldest command.
    fn oldest(&self) -> Option<(u64, String, Instant)> {
        self.lock().0.front().map(|first| (first.number, first.name.clone(), first.due))
    }
}

/// The way from a [`super::Tor`] to the task that owns its connection. Dropping the last one ends the connection.
pub(super) struct Link {
    /// How the connection was made, for further ones.
    config: TorConfig,
    /// The deadlines.
    limits: Limits,
    /// Commands for the owner.
    commands: mpsc::Sender<Command>,
    /// Requests that wait for an event.
    open: Arc<Open>,
    /// Changes with every status event.
    changes: watch::Receiver<u64>,
    /// Why the connection ended.
    end: Arc<OnceLock<Arc<str>>>,
    /// The queue of fetches.
    turns: Arc<Turns>,
}

impl Link {
    /// The queue of fetches.
    pub(super) const fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// How the connection was made.
    pub(super) const fn config(&self) -> &TorConfig {
        &self.config
    }

    /// The deadlines.
    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The requests that wait for an event.
    pub(super) const fn open(&self) -> &Arc<Open> {
        &self.open
    }

    /// Changes with every status event; closed at the end of the connection.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// The error for a connection that has ended.
    pub(super) fn lost(&self) -> TorError {
        self.ended().unwrap_or_else(|| TorError::Lost { why: Arc::from("the publisher stops") })
    }

    /// Why the connection ended, once it has.
    pub(super) fn ended(&self) -> Option<TorError> {
        self.end.get().map(|why| TorError::Lost { why: Arc::clone(why) })
    }

    /// Sends a command of one line and waits for its reply.
    pub(super) async fn ask(&self, command: &str) -> Result<Reply, TorError> {
        let mut octets = Vec::with_capacity(command.len().saturating_add(2));
        octets.extend_from_slice(command.as_bytes());
        octets.extend_from_slice(b"\r\n");
        self.ask_raw(command, octets).await
    }

    /// Sends the octets of a command and waits for its reply. The owner of the connection watches the deadline.
    pub(super) async fn ask_raw(&self, name: &str, octets: Vec<u8>) -> Result<Reply, TorError> {
        let (reply, answer) = oneshot::channel();
        let command = Command { name: name.to_owned(), octets, reply };
        self.commands.send(command).await.map_err(|_gone| self.lost())?;
        answer.await.map_err(|_gone| self.lost())
    }
}

/// Connects and authenticates; the caller has nothing but the bare connection.
pub(super) async fn authenticated(
    config: &TorConfig,
    limits: &Limits,
    read_ahead: usize,
) -> Result<Whole, TorError> {
    let slow = |_elapsed| TorError::SlowStart { at: config.control.clone(), seconds: limits.start.as_secs() };
    let open = async {
        let unreachable =
            |source| TorError::Unreachable { at: config.control.clone(), source: Arc::new(source) };
        let stream = ControlStream::connect(&config.control).await.map_err(unreachable)?;
        let mut whole = Whole::new(stream, read_ahead);
        auth::authenticate(&mut whole, config).await?;
        Ok(whole)
    };
    timeout(limits.start, open).await.map_err(slow)?
}

/// Connects, authenticates, subscribes, and starts the owner task.
pub(super) async fn connect(
    config: &TorConfig,
    limits: Limits,
) -> Result<(Link, mpsc::Receiver<TorEvent>), TorError> {
    let whole = authenticated(config, &limits, READ_AHEAD).await?;
    let (commands, orders) = mpsc::channel(COMMAND_QUEUE);
    let (news, heard) = mpsc::channel(NEWS_QUEUE);
    let (changed, changes) = watch::channel(0);
    let owner =
        Owner { open: Arc::default(), queue: Queue::default(), news, changed, end: Arc::default(), limits };
    let (open, end) = (Arc::clone(&owner.open), Arc::clone(&owner.end));
    tokio::spawn(owner.run(whole, orders));
    let turns = Arc::new(Turns::new(limits.fetches, limits.turn));
    let link = Link { config: config.clone(), limits, commands, open, changes, end, turns };
    let command = format!("SETEVENTS {SUBSCRIBED}");
    link.ask(&command).await?.accepted(&command)?;
    Ok((link, heard))
}

/// What the owner task holds besides the connection.
struct Owner {
    /// Requests that wait for an event.
    open: Arc<Open>,
    /// Commands that wait for their reply.
    queue: Queue,
    /// News for the reactor.
    news: mpsc::Sender<TorEvent>,
    /// Changes with every status event.
    changed: watch::Sender<u64>,
    /// Why the connection ended.
    end: Arc<OnceLock<Arc<str>>>,
    /// The deadlines.
    limits: Limits,
}

impl Owner {
    /// Serves the connection to its end, then ends every request.
    ///
    /// The three parts run side by side and none is ever restarted: so no read is cut off while the connection is in use.
    async fn run(self, whole: Whole, mut orders: mpsc::Receiver<Command>) {
        let (mut replies, mut commands) = whole.split();
        let why = tokio::select! {
            why = self.read(&mut replies) => why,
            why = self.write(&mut commands, &mut orders) => why,
            why = self.watch() => why,
        };
        // The reason stands before anybody notices the end.
        self.end.get_or_init(|| Arc::from(why));
        self.open.close();
    }

    /// Reads until the connection ends.
    async fn read(&self, replies: &mut Replies) -> String {
        loop {
            match replies.receive().await {
                Ok(event) if event.is_event() => {
                    if let Err(why) = self.hear(event) {
                        return why.to_owned();
                    }
                }
                Ok(reply) => match self.queue.leave() {
                    // A request may have given up; its reply is still taken off the queue.
                    Some(command) => drop(command.reply.send(reply)),
                    None => return format!("tor answered without being asked (code {})", reply.code),
                },
                Err(fault) => return fault.to_string(),
            }
        }
    }

    /// Gives an event to whom it concerns.
    fn hear(&self, event: Reply) -> Result<(), &'static str> {
        match Event::of(event) {
            Event::Directory(key, outcome) => {
                let unasked = self.open.deliver(&key, outcome);
                // What there is no room for can be fetched.
                if let (Some(Outcome::Content(text)), true) = (unasked, self.news.capacity() > NEWS_QUEUE / 2)
                    && let Some(onion) = key.address()
                {
                    drop(self.news.try_send(TorEvent::Descriptor(onion, text)));
                }
            }
            Event::News(news) => {
                self.changed.send_modify(|count| *count = count.wrapping_add(1));
                if let Err(mpsc::error::TrySendError::Full(_)) = self.news.try_send(news) {
                    return Err("the publisher does not read tor's news any more");
                }
            }
            Event::Status => self.changed.send_modify(|count| *count = count.wrapping_add(1)),
            Event::Unknown => {}
        }
        Ok(())
    }

    /// Writes commands until nobody can send any more.
    async fn write(&self, commands: &mut Commands, orders: &mut mpsc::Receiver<Command>) -> String {
        while let Some(Command { name, octets, reply }) = orders.recv().await {
            if reply.is_closed() {
                continue;
            }
            self.queue.join(name, Instant::now() + self.limits.reply, reply);
            if let Err(fault) = commands.send(&octets).await {
                return FrameFault::to_string(&fault);
            }
        }
        "it is no longer needed".to_owned()
    }

    /// Ends when the oldest command's reply is overdue.
    async fn watch(&self) -> String {
        loop {
            let Some((number, name, due)) = self.queue.oldest() else {
                self.queue.joined.notified().await;
                continue;
            };
            sleep_until(due).await;
            if self.queue.oldest().is_some_and(|oldest| oldest.0 == number) {
                return format!("tor did not answer {name} within {} s", self.limits.reply.as_secs());
            }
        }
    }
}
