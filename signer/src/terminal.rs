//! The controlling terminal: asks without echo, shows what must not stay on the screen. The only place that opens it.
//!
//! While something is typed unseen or shown, the keys that end a program are read like others, so that it always puts the
//! terminal back and clears the screen before it ends.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Read, Write};
use zeroize::{Zeroize, Zeroizing};

/// The longest line, in octets.
const LINE_MAX: usize = 1024;
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

    /// Writes a text.
    ///
    /// # Errors
    /// What the system says.
    pub fn say(&self, text: &str) -> io::Result<()> {
        (&self.0).write_all(text.as_bytes())
    }

    /// Asks for something that everybody may see.
    ///
    /// # Errors
    /// What the system says.
    pub fn ask(&self, prompt: &str) -> io::Result<String> {
        self.say(prompt)?;
        Ok(self.line()?.as_str().to_owned())
    }

    /// Asks without echo.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::Interrupted`] after Ctrl-C.
    pub fn ask_unseen(&self, prompt: &str) -> io::Result<Zeroizing<String>> {
        // Silent before the prompt is seen: what is typed after it must neither be echoed nor thrown away.
        let unseen = Unseen::new(&self.0)?;
        let line = self.say(&format!("{prompt}: ")).and_then(|()| self.line());
        drop(unseen);
        self.say("\n")?;
        line
    }

    /// Shows a text on a screen of its own until Enter is pressed.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::Interrupted`] after Ctrl-C. The text is gone in every case.
    pub fn show_alone(&self, text: &str) -> io::Result<()> {
        let _unseen = Unseen::new(&self.0)?;
        let seen = self.say(ALONE).and_then(|()| self.say(text)).and_then(|()| self.line());
        self.say(TOGETHER)?;
        seen.map(drop)
    }

    /// Reads one line octet by octet, so that no buffer keeps a copy.
    fn line(&self) -> io::Result<Zeroizing<String>> {
        let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX));
        let mut octet = [0];
        loop {
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
