//! The controlling terminal: asks without echo, shows what must not stay on the screen. The only place that opens it.
//!
//! While something is typed unseen or shown, the keys that end a program are read like others, so that it always puts the
//! terminal back and clears the screen before it ends.

use crate::clock::{deadline_in, until};
use crate::room;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// The longest line, in octets.
const LINE_MAX: usize = 1024;
/// How long one prompt waits for its Enter.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;
/// To the other screen, which no scroll-back keeps, and clears it.
const ALONE: &str = "\x1b[?1049h\x1b[2J\x1b[H";
/// Clears the other screen, its scroll-back too, and goes back.
const TOGETHER: &str = "\x1b[2J\x1b[3J\x1b[H\x1b[?1049l";

/// The controlling terminal.
pub struct Terminal(File);

impl Terminal {
    /// Opens it.
    ///
    /// # Errors
    /// What the system says if there is none.
    pub fn open() -> io::Result<Self> {
        Ok(Self(File::options().read(true).write(true).open("/dev/tty")?))
    }

    /// Writes a text that the transcript has too.
    ///
    /// # Errors
    /// What the system says.
    pub fn say(&self, text: &str) -> io::Result<()> {
        self.put(&room::shown(text))
    }

    /// Writes a text as it is, on no record.
    fn put(&self, text: &str) -> io::Result<()> {
        (&self.0).write_all(text.as_bytes())
    }

    /// Asks for something that everybody may see.
    ///
    /// # Errors
    /// What the system says.
    pub fn ask(&self, prompt: &str) -> io::Result<String> {
        self.say(prompt)?;
        let line = self.line(deadline_in(PATIENCE))?.as_str().to_owned();
        room::typed(&line);
        Ok(line)
    }

    /// Asks without echo.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::Interrupted`] after Ctrl-C, [`io::ErrorKind::TimedOut`] after half an hour.
    pub fn ask_unseen(&self, prompt: &str) -> io::Result<Zeroizing<String>> {
        // Silent before the prompt is seen: what is typed after it must neither be echoed nor thrown away.
        let unseen = Unseen::new(&self.0)?;
        let line = self.say(&format!("{prompt}: ")).and_then(|()| self.line(deadline_in(PATIENCE)));
        drop(unseen);
        self.say("\n")?;
        line
    }

    /// Shows a text on a screen of its own until Enter is pressed.
    ///
    /// # Errors
    /// As [`Terminal::ask_unseen`]. The text is gone in every case.
    pub fn show_alone(&self, text: &str) -> io::Result<()> {
        let _unseen = Unseen::new(&self.0)?;
        let page = Zeroizing::new(room::marked(text));
        let seen =
            self.put(ALONE).and_then(|()| self.put(&page)).and_then(|()| self.line(deadline_in(PATIENCE)));
        self.put(TOGETHER)?;
        seen.map(drop)
    }

    /// Reads one line octet by octet, so that no buffer keeps a copy.
    fn line(&self, deadline: Instant) -> io::Result<Zeroizing<String>> {
        let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX));
        let mut octet = [0];
        loop {
            wait_typed(&self.0, deadline)?;
            if (&self.0).read(&mut octet)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match octet {
                [b'\n'] => break,
                [INTERRUPT] => return Err(io::ErrorKind::Interrupted.into()),
                [_] if line.len() >= LINE_MAX => return Err(io::ErrorKind::InvalidData.into()),
                [other] => line.push(other),
            }
        }
        octet.zeroize();
        let text = std::str::from_utf8(&line).map_err(|_not_text| io::ErrorKind::InvalidData)?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Waits until something was typed, or came through a pipe.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] after the deadline.
pub(crate) fn wait_typed(from: &impl AsFd, deadline: Instant) -> io::Result<()> {
    loop {
        let left = until(deadline);
        if left.is_zero() {
            let text = "nobody finished typing within half an hour; nothing was changed";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        let wait = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_readable) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A terminal that does not echo, and passes Ctrl-C on as an octet, until this is dropped.
struct Unseen<'a> {
    /// The terminal.
    terminal: &'a File,
    /// How it was.
    before: Termios,
}

impl<'a> Unseen<'a> {
    /// Silences a terminal.
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that does not take its settings back.
        let _unchanged = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    /// A terminal whose keyboard is a pipe.
    fn typed(text: &[u8]) -> (Terminal, io::PipeWriter) {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(text).unwrap();
        (Terminal(File::from(OwnedFd::from(reader))), writer)
    }

    #[test]
    fn a_line_that_is_finished_in_time_is_read() {
        let (terminal, _keyboard) = typed(b"word\n");
        assert_eq!(*terminal.line(deadline_in(Duration::from_secs(60))).unwrap(), "word");
    }

    #[test]
    fn a_line_that_is_not_finished_ends_at_the_deadline() {
        let (terminal, _keyboard) = typed(b"wor");
        let error = terminal.line(deadline_in(Duration::from_millis(50))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("nothing was changed"));
    }
}
