//! Documents that are executed: every command in them is run, and what it says is compared with what stands below it.
//!
//! A command is a line `    NAME$ PROGRAM ...`; what it says stands in the indented lines below. What differs from run to run is
//! written as a word in capitals. `UPDATE=1` writes what was said into the document.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use onionkeep_common::paper::words;

use crate::assurance::ceremonies;
use crate::{daemon, seat};

/// How a line of a command or of its answer is indented.
const INDENT: &str = "    ";
/// Stands for the doctor's table, which is another on every machine.
const TABLE: &str = "[the doctor's table]";
/// Stands for what one custodian sees alone.
const SHARE: &str = "[the share, on a screen of its own]";
/// What a program writes before and after such a screen.
const ALONE: (&str, &str) = ("\x1b[?1049h", "\x1b[?1049l");
/// In front of every line of a rehearsal.
const BANNER: &str = "REHEARSAL  ";
/// Octets of ten words.
const SPOKEN: usize = 10;

/// A room in which a document is executed.
pub struct Room {
    /// The directory in which commands run.
    dir: PathBuf,
    /// Paths of the document and where they are here.
    places: Vec<(String, String)>,
    /// Words of the document that stand for something of this run.
    pub values: Vec<(&'static str, String)>,
    /// What the environment of every command has.
    environment: Vec<(&'static str, String)>,
    /// The shares that custodians wrote down.
    shares: Vec<String>,
    /// How many of them were typed in this command.
    typed: usize,
}

/// How one command ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// What it said.
    pub text: String,
}

impl Room {
    /// A room in a directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            places: Vec::new(),
            values: Vec::new(),
            environment: Vec::new(),
            shares: Vec::new(),
            typed: 0,
        }
    }

    /// What the document calls `name` is a directory in the room.
    pub fn place(&mut self, name: &str, here: &str) -> Result<()> {
        let path = self.dir.join(here);
        std::fs::create_dir_all(&path)?;
        self.places.push((name.to_owned(), path.display().to_string()));
        Ok(())
    }

    /// Every command has this in its environment.
    pub fn env(&mut self, name: &'static str, value: &Path) {
        self.environment.push((name, value.display().to_string()));
    }

    /// Runs a command as it stands in a document.
    pub fn run(&mut self, line: &str) -> Result<Said> {
        let mut line = line.to_owned();
        for (word, value) in &self.values {
            line = line.replace(word, value);
        }
        for (name, here) in &self.places {
            line = line.replace(name, here);
        }
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let program = words.next().context("no program")?;
        let ours = program.starts_with("onionkeep-");
        let mut command = Command::new(if ours { daemon::built(program)? } else { program.into() });
        command.args(words).current_dir(&self.dir).env("RUST_BACKTRACE", "0");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.typed = 0;
        let (code, text) = seat::run(&command, &mut |seen| self.answer(seen))?;
        Ok(Said { code, text: self.read(&text) })
    }

    /// How many of the shares that were written down stand in a text.
    #[must_use]
    pub fn shares_in(&self, text: &str) -> usize {
        let plain = text.replace([' ', '\n'], "");
        self.shares.iter().filter(|share| plain.contains(&share.replace(' ', ""))).count()
    }

    /// What a person types at a prompt.
    fn answer(&mut self, seen: &str) -> Option<String> {
        let prompt = seen.lines().next_back().unwrap_or_default();
        if prompt.ends_with("as in 2026-11-22 16: ") {
            return Some(ceremonies::watch());
        }
        if prompt.ends_with("Type Yes: ") {
            return Some("Yes".to_owned());
        }
        if let Some((_, exact)) = prompt.split_once("Type exactly ") {
            return exact.strip_suffix(": ").map(str::to_owned);
        }
        if prompt.ends_with("press Enter: ") {
            return Some(String::new());
        }
        if prompt.ends_with("the screen is cleared.") && seen.ends_with('\n') {
            let lines = seen.lines().filter_map(|line| line.trim_end().rsplit_once(INDENT));
            self.shares.push(lines.map(|(_, share)| share).collect::<Vec<_>>().join(" "));
            return Some(String::new());
        }
        if prompt.ends_with("type the share back: ") {
            return self.shares.last().cloned();
        }
        if prompt.contains("share ") && prompt.ends_with(": ") {
            self.typed += 1;
            return self.shares.get(self.typed - 1).cloned();
        }
        None
    }

    /// What was said, as a document has it but for what differs from run to run.
    fn read(&self, text: &str) -> String {
        let mut text = text.replace("\r\n", "\n");
        while let Some((before, (_, after))) =
            text.split_once(ALONE.0).and_then(|(before, rest)| Some((before, rest.split_once(ALONE.1)?)))
        {
            text = format!("{before}{SHARE}\n{after}");
        }
        for (name, here) in &self.places {
            text = text.replace(here, name);
        }
        text = text.replace(&format!("{}/", self.dir.display()), "");
        text.lines().map(|line| line.rsplit('\r').next().unwrap_or_default().to_owned() + "\n").collect()
    }
}

/// Text with a word in capitals for everything that differs from run to run.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let (banner, rest) = match line.strip_prefix(BANNER) {
            Some(rest) => (BANNER, rest),
            None => ("", line),
        };
        let first: Vec<&str> = rest.split_whitespace().take(2).collect();
        if matches!(first.as_slice(), [time, "info" | "warn" | "error"] if mask(time) == "TIME") {
            continue;
        }
        let row = ["OK    ", "WARN  ", "FAIL  "].iter().any(|mark| rest.starts_with(mark));
        let line = if row
            || rest.starts_with("                     try: ")
            || rest.starts_with(&format!("{:<20} try: ", ""))
        {
            format!("{banner}{TABLE}")
        } else {
            format!("{banner}{}", mask_line(rest)).trim_end().to_owned()
        };
        let again = line.ends_with(TABLE) && lines.last() == Some(&line);
        if !again && !line.is_empty() && line != BANNER.trim_end() {
            lines.push(line);
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// One line; what is between its words stays as it is.
fn mask_line(line: &str) -> String {
    let mut parts: Vec<String> = line.split(' ').map(mask).collect();
    let places: Vec<usize> = (0..parts.len()).filter(|at| !parts[*at].is_empty()).collect();
    for run in places.windows(SPOKEN) {
        let marks = |c: char| "().,;:".contains(c);
        let spoken: Vec<_> = run.iter().map(|at| parts[*at].trim_matches(marks)).collect();
        if words::octets(&spoken.join(" ")).is_ok() {
            let (first, last) = (&parts[run[0]], &parts[run[SPOKEN - 1]]);
            let before = &first[..first.len() - first.trim_start_matches(marks).len()];
            let after = &last[last.trim_end_matches(marks).len()..];
            parts[run[0]] = format!("{before}WORDS{after}");
            parts.drain(run[1]..=run[SPOKEN - 1]);
            break;
        }
    }
    let mut line = parts.join(" ");
    if let Some(at) = line.find("DATE ") {
        // The hour behind a date.
        let hour = at + "DATE ".len();
        if line.get(hour..hour + 2).is_some_and(|text| text.bytes().all(|octet| octet.is_ascii_digit())) {
            line.replace_range(hour..hour + 2, "HOUR");
        }
    }
    line
}

/// One word.
fn mask(word: &str) -> String {
    let core = word.trim_matches(|c: char| "\"'(),:;.".contains(c));
    let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    let shape = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(octet, wanted)| match wanted {
                b'0' => octet.is_ascii_digit(),
                _ => octet == wanted,
            })
    };
    let example = core == "2026-11-22" || core.starts_with("2026-11-22T16");
    let name = if example {
        core.to_owned()
    } else if core.len() == 62 && core.ends_with(".onion") || core.len() == 56 && !is_hex(core) {
        "ADDRESS".to_owned()
    } else if shape(core, "0000-00-00T00:00:00Z") {
        "TIME".to_owned()
    } else if shape(core, "0000-00-00") {
        "DATE".to_owned()
    } else if let Some((kind, hex)) = core.split_once(':').filter(|(_, hex)| is_hex(hex)) {
        format!("{kind}:{}", if hex.is_empty() { "" } else { "HEX" })
    } else if (is_hex(core) && core.len() >= 8)
        || core.split_once("..").is_some_and(|(from, to)| from.len() == 4 && to.len() == 2)
    {
        "HEX".to_owned()
    } else if core.len() == 5 && digits(core) {
        "PERIOD".to_owned()
    } else if let Some(rest) = core.get(56..).filter(|rest| rest.starts_with(".g")) {
        format!("ADDRESS{rest}")
    } else if let Some((dir, rest)) =
        core.rsplit_once('/').filter(|(_, rest)| rest.len() > 58 && rest.get(56..58) == Some(".g"))
    {
        format!("{dir}/ADDRESS{}", &rest[56..])
    } else {
        core.to_owned()
    };
    word.replacen(core, &name, usize::from(!core.is_empty()))
}

/// Whether a word is hexadecimal, with a letter or long.
fn is_hex(word: &str) -> bool {
    word.len() >= 8 && word.bytes().all(|octet| octet.is_ascii_hexdigit() && !octet.is_ascii_uppercase())
}

/// Executes a document: `after` sees how each command ended, and does what is done by hand.
pub fn execute(
    document: &Path,
    room: &mut Room,
    after: &mut dyn FnMut(&mut Room, &str, &Said) -> Result<()>,
) -> Result<usize> {
    let text = std::fs::read_to_string(document)?;
    let (mut written, mut count) = (String::new(), 0);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        written.push_str(&format!("{line}\n"));
        let Some((_name, command)) = line.strip_prefix(INDENT).and_then(|line| line.split_once("$ ")) else {
            continue;
        };
        count += 1;
        let mut expected = String::new();
        while let Some(next) = lines.next_if(|next| next.starts_with(INDENT) && !next.contains("$ ")) {
            expected.push_str(&format!("{}\n", next.strip_prefix(INDENT).unwrap_or_default()));
        }
        let said = room.run(command)?;
        let found = masked(&said.text) + &code_line(said.code);
        let update = std::env::var_os("UPDATE").is_some();
        ensure!(
            update || found == expected,
            "{}: {command}\n--- it says\n{found}--- the document says\n{expected}--- in full\n{}",
            document.display(),
            said.text
        );
        written.push_str(&found.lines().map(|line| format!("{INDENT}{line}\n")).collect::<String>());
        after(room, command, &said)?;
    }
    if written != text {
        std::fs::write(document, written)?;
    }
    Ok(count)
}

/// The last line below a command that did not end with 0.
fn code_line(code: i32) -> String {
    if code == 0 { String::new() } else { format!("[exit code {code}]\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_masked_and_the_rest_stays() {
        let spoken = words::words(&[7; SPOKEN]);
        for (line, wanted) in [
            ("made   2026-11-26T11:05:49Z, at 20782", "made   TIME, at PERIOD"),
            ("16: 2026-11-26 11", "16: DATE HOUR"),
            (&format!("by 0123456789abcdef ({spoken}). x"), "by HEX (WORDS). x"),
            (&format!("words   {spoken}"), "words   WORDS"),
            ("as in 2026-11-22 16: ", "as in 2026-11-22 16: "),
            ("key 5be1..90 ok", "key HEX ok"),
            ("159 certificates, exit 4", "159 certificates, exit 4"),
        ] {
            assert_eq!(mask_line(line), wanted);
        }
        assert_eq!(masked("a\n\nREHEARSAL  \nb\n"), "a\nb\n");
        let table = "OK    config  good\nWARN  clock  x\n                     try: y\nstep 2\n";
        assert_eq!(masked(table), format!("{TABLE}\nstep 2\n"));
        assert_eq!(masked("2026-11-26T11:05:49Z warn memory-not-locked why=x\nb\n"), "b\n");
    }
}
