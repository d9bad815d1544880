//! What passes between the program and the custodians: each share shown alone and typed back, shares typed for a restore.

use super::shamir::{Polynomial, Share};
use super::{BackupError, BackupSet, ShareError};
use crate::clock::deadline_in;
use crate::log::{Level, line};
use crate::terminal::{PATIENCE, Terminal, wait_typed};
use rustix::fs::{FileType, fstat};
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;
use zeroize::{Zeroize, Zeroizing};

/// How often a custodian may type a share.
const TRIES: u8 = 5;
/// The longest line on the standard input.
const LINE_MAX: usize = 1024;

/// Where shares are typed.
pub enum Custodians {
    /// At the terminal, without echo.
    Terminal(Terminal),
    /// On the standard input, one a line: for drills, because whoever fills the pipe has them all.
    Pipe,
}

impl Custodians {
    /// The terminal, or the standard input if `pipe` says so.
    ///
    /// # Errors
    /// [`BackupError::Terminal`] if there is none; [`BackupError::NotAPipe`] if the standard input is a file.
    pub fn new(pipe: bool) -> Result<Self, BackupError> {
        if !pipe {
            return Ok(Self::Terminal(Terminal::open().map_err(BackupError::Terminal)?));
        }
        let stat = fstat(io::stdin()).map_err(|error| BackupError::Terminal(error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo | FileType::Socket => Ok(Self::Pipe),
            FileType::RegularFile
            | FileType::Directory
            | FileType::Symlink
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(BackupError::NotAPipe),
        }
    }

    /// Has a threshold of different shares typed, and checks each alone.
    ///
    /// # Errors
    /// [`BackupError::Tries`] after five tries of one share; [`BackupError::Share`] at once for a wrong one from a pipe.
    pub fn collect(&self, set: &BackupSet) -> Result<Vec<Share>, BackupError> {
        let want = set.plan().threshold();
        // As large as it gets: growing would leave copies behind.
        let mut have = Vec::with_capacity(usize::from(want));
        while have.len() < usize::from(want) {
            let share = self.one(set, &have)?;
            have.push(share);
            self.accepted(have.len(), want)?;
        }
        Ok(have)
    }

    /// Has one share typed that is not among `have`.
    ///
    /// # Errors
    /// As [`Custodians::collect`].
    pub fn one(&self, set: &BackupSet, have: &[Share]) -> Result<Share, BackupError> {
        let mut tries = 0_u8;
        loop {
            let text = self.text(have.len(), set.plan().threshold())?;
            tries = tries.saturating_add(1);
            match (accept(set, have, &text), self) {
                (Ok(share), _) => return Ok(share),
                (Err(error), Self::Pipe) => return Err(BackupError::Share(error)),
                (Err(last), Self::Terminal(_)) if tries >= TRIES => {
                    return Err(BackupError::Tries { tries, last });
                }
                (Err(error), Self::Terminal(terminal)) => {
                    terminal.say(&format!("{error}\n")).map_err(BackupError::Terminal)?;
                }
            }
        }
    }

    /// The text of the next share.
    fn text(&self, have: usize, want: u8) -> Result<Zeroizing<String>, BackupError> {
        match self {
            Self::Terminal(terminal) => {
                let next = have.saturating_add(1);
                terminal.ask_unseen(&format!("share {next} of {want}")).map_err(BackupError::Terminal)
            }
            Self::Pipe => {
                let line = pipe_line(&io::stdin(), deadline_in(PATIENCE)).map_err(BackupError::Terminal)?;
                line.ok_or(BackupError::TooFew { have, want })
            }
        }
    }

    /// Says how far it is.
    fn accepted(&self, have: usize, want: u8) -> Result<(), BackupError> {
        match self {
            Self::Terminal(terminal) => {
                terminal.say(&format!("share {have} of {want} accepted\n")).map_err(BackupError::Terminal)
            }
            Self::Pipe => {
                line(Level::Info, "share-accepted", &[("number", &have), ("of", &want)]);
                Ok(())
            }
        }
    }
}

/// Checks one text against the set and against the shares that are there.
fn accept(set: &BackupSet, have: &[Share], text: &str) -> Result<Share, ShareError> {
    let share = set.read_share(text)?;
    let again = have.iter().any(|other| other.index() == share.index());
    if again { Err(ShareError::Again(share.index())) } else { Ok(share) }
}

/// One line of a pipe, read octet by octet so that no buffer keeps a copy; `None` at its end.
fn pipe_line(pipe: &impl AsFd, deadline: Instant) -> io::Result<Option<Zeroizing<String>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX));
    let mut octet = [0];
    loop {
        // The lock's own buffer would keep what it read ahead; the file descriptor itself has none.
        wait_typed(pipe, deadline)?;
        match rustix::io::read(pipe, &mut octet)? {
            0 if line.is_empty() => return Ok(None),
            0 => break,
            _ if octet == *b"\n" => break,
            _ if line.len() >= LINE_MAX => return Err(io::ErrorKind::InvalidData.into()),
            _ => line.extend_from_slice(&octet),
        }
    }
    octet.zeroize();
    let text = std::str::from_utf8(&line).map_err(|_not_text| io::ErrorKind::InvalidData)?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Shows each share to its custodian alone and has it typed back.
///
/// # Errors
/// [`BackupError::ReadBack`] if one is not typed back right in five tries.
pub fn hand_out(terminal: &Terminal, set: &BackupSet, polynomial: &Polynomial) -> Result<(), BackupError> {
    for index in 1..=set.plan().shares() {
        hand_out_one(terminal, set, &polynomial.share(index))?;
    }
    Ok(())
}

/// Shows one share and has it typed back.
fn hand_out_one(terminal: &Terminal, set: &BackupSet, share: &Share) -> Result<(), BackupError> {
    let text = set.write_share(share);
    let (index, shares) = (share.index(), set.plan().shares());
    for _ in 0..TRIES {
        let ready = format!(
            "\ncustodian {index} of {shares}: come to the screen alone, with pen and paper, then press Enter"
        );
        terminal.ask_unseen(&ready).map_err(BackupError::Terminal)?;
        terminal.show_alone(&page(set, index, &text)).map_err(BackupError::Terminal)?;
        let typed = terminal.ask_unseen("type the share back").map_err(BackupError::Terminal)?;
        match set.read_share(&typed) {
            Ok(back) if back.index() == index => {
                return terminal
                    .say(&format!("share {index} of {shares} is good\n"))
                    .map_err(BackupError::Terminal);
            }
            Ok(_other) => terminal.say("that is another custodian's share\n"),
            Err(error) => terminal.say(&format!("{error}\n")),
        }
        .map_err(BackupError::Terminal)?;
    }
    Err(BackupError::ReadBack(index))
}

/// What one custodian sees.
fn page(set: &BackupSet, index: u8, text: &str) -> Zeroizing<String> {
    let (threshold, shares) = (set.plan().threshold(), set.plan().shares());
    let mut page = Zeroizing::new(String::with_capacity(1024));
    page.push_str(&format!(
        "Share {index} of {shares} for {}\nset {}, generation {}; any {threshold} of the {shares} shares restore the key\n\n",
        set.onion().redacted(),
        set.short_name(),
        set.generation()
    ));
    for (at, group) in text.split(' ').enumerate() {
        page.push_str(if at % 6 == 0 { "\n    " } else { " " });
        page.push_str(group);
    }
    page.push_str(
        "\n\n\nWrite it down, lines and groups as they stand. Then press Enter: the screen is cleared.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::shamir::Plan;
    use std::io::Write as _;

    fn set() -> (BackupSet, Polynomial) {
        let plan = Plan::new(2, 3).unwrap();
        let polynomial = Polynomial::random(plan).unwrap();
        let onion = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion".parse().unwrap();
        (BackupSet::new(onion, 1, plan, polynomial.commitments()).unwrap(), polynomial)
    }

    #[test]
    fn a_share_is_accepted_once() {
        let (set, polynomial) = set();
        let text = set.write_share(&polynomial.share(2));
        let first = accept(&set, &[], &text).unwrap();
        assert_eq!(accept(&set, &[first], &text).err(), Some(ShareError::Again(2)));
    }

    #[test]
    fn a_pipe_is_read_line_by_line_and_not_waited_for_for_ever() {
        let soon = || deadline_in(std::time::Duration::from_millis(50));
        let (pipe, mut filler) = io::pipe().unwrap();
        filler.write_all(b"share one\nshare two\nsha").unwrap();
        let later = deadline_in(std::time::Duration::from_secs(60));
        assert_eq!(pipe_line(&pipe, later).unwrap().unwrap().as_str(), "share one");
        assert_eq!(pipe_line(&pipe, later).unwrap().unwrap().as_str(), "share two");
        let error = pipe_line(&pipe, soon()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(filler);
        assert!(pipe_line(&pipe, later).unwrap().is_none());
    }

    #[test]
    fn a_page_holds_the_share_in_lines_of_six_groups() {
        let (set, polynomial) = set();
        let text = set.write_share(&polynomial.share(3));
        let page = page(&set, 3, &text);
        let lines: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        assert_eq!(lines.iter().map(|line| line.split(' ').count()).collect::<Vec<_>>(), [6, 6, 6]);
        assert!(set.read_share(&lines.join(" ")).is_ok());
        assert!(page.contains("Share 3 of 3") && !page.contains(&set.onion().bare().to_string()));
    }
}
