//! `status --watch`: asks again and again, and shows the answer until a key or a signal ends it.

use super::screen::{Row, Style, foot, rows};
use super::terminal::{Terminal, give_back};
use super::{Document, ask_async};
use rustix::process::{Signal, getpid, kill_process};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::task::Poll;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// There is nothing to draw on.
    #[error("--watch draws on a terminal: {0}")]
    NoTerminal(&'static str),
    /// The terminal does not do what it should.
    #[error("cannot draw on the terminal: {0}")]
    Terminal(#[from] io::Error),
}

impl WatchError {
    /// One line that says what the operator can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::NoTerminal(_) => {
                "use `status` for a table or `status --json` for a program, and ask again as often as you like"
            }
            Self::Terminal(_) => "see that the terminal is still there, or use `status`",
        }
    }
}

/// What woke the loop.
enum Woken {
    /// Time to ask again.
    Time,
    /// These octets were typed.
    Keys(Vec<u8>),
    /// The terminal has another size.
    Resize,
    /// To be put aside (^Z).
    Suspend,
    /// To end, with this code.
    End(u8),
}

/// What is shown.
struct View {
    /// The last document.
    document: Option<Document>,
    /// When it was written, or why there is none.
    state: Result<u64, String>,
    /// The first line that is seen.
    top: usize,
    /// Whether colours are wanted.
    colour: bool,
}

/// Watches until `q` (code 0) or a signal (128 and its number).
///
/// # Errors
/// [`WatchError`] if there is no terminal.
pub fn watch(socket: &Path, every: Duration) -> Result<u8, WatchError> {
    if let Some(objection) = Terminal::objection() {
        return Err(WatchError::NoTerminal(objection));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        hook(panic);
    }));
    runtime.block_on(run(socket, every))
}

/// The loop.
async fn run(socket: &Path, every: Duration) -> Result<u8, WatchError> {
    let mut wake = Wake::new(every)?;
    let mut terminal = Terminal::enter()?;
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut view = View { document: None, state: Err("not asked yet".to_owned()), top: 0, colour };
    view.ask(socket).await;
    loop {
        terminal.show(&view.lines(Terminal::size()))?;
        match wake.next().await {
            Woken::Time => view.ask(socket).await,
            Woken::Keys(keys) => {
                if view.keys(&keys, Terminal::size().1) {
                    return Ok(0);
                }
            }
            Woken::Resize => {}
            Woken::Suspend => {
                drop(terminal);
                // Stops here until the shell says to go on.
                kill_process(getpid(), Signal::STOP).map_err(io::Error::from)?;
                terminal = Terminal::enter()?;
            }
            Woken::End(code) => return Ok(code),
        }
    }
}

/// Everything that wakes the loop.
struct Wake {
    /// The time of the next question.
    tick: tokio::time::Interval,
    /// What is typed, if standard input is a terminal.
    keys: Option<mpsc::Receiver<Vec<u8>>>,
    /// Signals that end it, with the exit code.
    ends: Vec<(tokio::signal::unix::Signal, u8)>,
    /// Another size.
    resize: tokio::signal::unix::Signal,
    /// ^Z.
    suspend: tokio::signal::unix::Signal,
}

impl Wake {
    /// Listens to all of it.
    fn new(every: Duration) -> io::Result<Self> {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.reset();
        let end = |kind, code| Ok::<_, io::Error>((signal(kind)?, code));
        Ok(Self {
            tick,
            keys: io::stdin().is_terminal().then(keys),
            ends: vec![
                end(SignalKind::interrupt(), 130)?,
                end(SignalKind::terminate(), 143)?,
                end(SignalKind::hangup(), 129)?,
                end(SignalKind::quit(), 131)?,
            ],
            resize: signal(SignalKind::window_change())?,
            suspend: signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?,
        })
    }

    /// Waits for the next thing.
    async fn next(&mut self) -> Woken {
        let ended = std::future::poll_fn(|cx| {
            let mut ends = self.ends.iter_mut();
            let code = ends.find_map(|(signal, code)| signal.poll_recv(cx).is_ready().then_some(*code));
            code.map_or(Poll::Pending, Poll::Ready)
        });
        tokio::select! {
            biased;
            code = ended => Woken::End(code),
            _ = self.suspend.recv() => Woken::Suspend,
            _ = self.resize.recv() => Woken::Resize,
            keys = typed(self.keys.as_mut()) => keys.map_or(Woken::End(129), Woken::Keys),
            _ = self.tick.tick() => Woken::Time,
        }
    }
}

/// Waits until something is typed; `None` if the terminal is gone.
async fn typed(keys: Option<&mut mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match keys {
        Some(keys) => keys.recv().await,
        None => std::future::pending().await,
    }
}

/// What is typed at standard input, read by a thread that ends with the program: a read cannot be called off.
fn keys() -> mpsc::Receiver<Vec<u8>> {
    let (sender, keys) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut octets = [0; 64];
        loop {
            let typed = match rustix::io::read(io::stdin(), &mut octets) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) | Err(_) => return,
                Ok(count) => octets.get(..count).unwrap_or_default().to_vec(),
            };
            if sender.blocking_send(typed).is_err() {
                return;
            }
        }
    });
    keys
}

impl View {
    /// Asks the publisher; what was known stays if it does not answer.
    async fn ask(&mut self, socket: &Path) {
        match ask_async(socket).await {
            Ok(document) => {
                self.state = Ok(document.now);
                self.document = Some(document);
            }
            Err(error) => self.state = Err(error.to_string()),
        }
    }

    /// All lines.
    fn rows(&self) -> Vec<Row> {
        let none = || vec![Row::of(Style::Warn, "nothing is known yet")];
        self.document.as_ref().map_or_else(none, rows)
    }

    /// The screen.
    fn lines(&mut self, (columns, height): (usize, usize)) -> Vec<String> {
        let rows = self.rows();
        let room = height.saturating_sub(1).max(1);
        self.top = self.top.min(rows.len().saturating_sub(room));
        // A terminal whose last column is written to may wrap, or lose that column when the rest of the line is erased.
        let width = columns.saturating_sub(1);
        let seen: Vec<_> = rows.iter().skip(self.top).take(room).collect();
        let range = self.top..self.top.saturating_add(seen.len());
        let mut lines: Vec<_> = seen.into_iter().map(|row| row.ansi(width, self.colour)).collect();
        lines.resize(room, String::new());
        if height > 1 {
            lines.push(foot(range, rows.len(), &self.state).ansi(width, self.colour));
        }
        lines
    }

    /// Something was typed, perhaps several keys; true if that ends it.
    fn keys(&mut self, typed: &[u8], height: usize) -> bool {
        let mut rest = typed;
        while let Some((key, more)) = rest.split_at_checked(key_len(rest)).filter(|(key, _)| !key.is_empty())
        {
            if self.key(key, height) {
                return true;
            }
            rest = more;
        }
        false
    }

    /// One key was typed; true if that ends it.
    fn key(&mut self, key: &[u8], height: usize) -> bool {
        let page = height.saturating_sub(2).max(1);
        match key {
            b"q" | b"Q" => return true,
            b"j" | b"\x1b[B" | b"\x1bOB" | b"\r" | b"\n" => self.top = self.top.saturating_add(1),
            b"k" | b"\x1b[A" | b"\x1bOA" => self.top = self.top.saturating_sub(1),
            b" " | b"\x1b[6~" => self.top = self.top.saturating_add(page),
            b"b" | b"\x1b[5~" => self.top = self.top.saturating_sub(page),
            b"g" | b"\x1b[H" | b"\x1b[1~" | b"\x1bOH" => self.top = 0,
            b"G" | b"\x1b[F" | b"\x1b[4~" | b"\x1bOF" => self.top = usize::MAX,
            _other => {}
        }
        false
    }
}

/// How many octets the first key has: a sequence that a key with a name sends, or one.
fn key_len(typed: &[u8]) -> usize {
    match typed {
        [] => 0,
        [0x1b, b'O', _, ..] => 3,
        [0x1b, b'[', rest @ ..] => {
            let end = rest.iter().position(|octet| (0x40..=0x7e).contains(octet));
            end.map_or(typed.len(), |end| end.saturating_add(3))
        }
        [_, ..] => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::document;

    fn view() -> View {
        View { document: Some(document()), state: Ok(1), top: 0, colour: false }
    }

    #[test]
    fn a_screen_is_filled_and_no_more() {
        for (columns, height) in [(80, 24), (20, 5), (1, 1), (0, 0), (300, 100)] {
            let lines = view().lines((columns, height));
            assert_eq!(lines.len(), height.max(1), "{columns} x {height}");
        }
        let last = view().lines((80, 24)).pop().unwrap();
        assert!(last.contains("q quit"), "{last:?}");
    }

    #[test]
    fn keys_scroll_within_what_is_there_and_q_ends() {
        let mut view = view();
        let all = view.rows().len();
        assert!(!view.keys(b"k", 6));
        view.lines((80, 6));
        assert_eq!(view.top, 0, "not above the first");
        view.keys(b"\x1b[B", 6);
        assert_eq!(view.top, 1);
        for _ in 0..100 {
            view.keys(b"\x1b[6~", 6);
        }
        view.lines((80, 6));
        assert_eq!(view.top, all - 5, "not beyond the last");
        view.keys(b"g", 6);
        assert_eq!(view.top, 0);
        view.keys(b"G", 6);
        view.lines((80, 6));
        assert_eq!(view.top, all - 5);
        view.lines((80, 60));
        assert_eq!(view.top, 0, "a larger terminal shows more");
        view.keys(b"g\x1b[B\x1b[Bj\x1bOA", 6);
        assert_eq!(view.top, 2, "several keys that come at once");
        assert!(!view.keys(b"\x1b[99~x", 6) && !view.keys(b"\x1b[", 6) && view.keys(b"\x1bq", 6));
    }

    #[test]
    fn what_was_known_stays_when_nobody_answers() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut view = view();
        runtime.block_on(view.ask(Path::new("/nonexistent/status.sock")));
        let lines = view.lines((200, 40));
        assert!(
            lines.iter().any(|line| line.contains("no answer: cannot reach the publisher at /nonexistent"))
        );
        assert!(lines.iter().any(|line| line.contains("kenl5sid.onion")));
    }
}
