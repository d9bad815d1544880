//! The fault script: its language, and which of its lines bite at a call. The file is read anew at each call.
//!
//! A line is `ACTION [on FUNCTION[:MECHANISM]] [at N | times N | chance N/M]`; the README lists the actions. Counts belong
//! to one version of the file (its inode and time) and are kept beside it, so that all processes share them.

use crate::home::{Home, failed};
use crate::record::Call;
use crate::{Answer, names};
use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_RV, CKR_GENERAL_ERROR};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// What a line does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The call does not return while the line is in the script.
    Hang,
    /// The call takes this long more.
    Slow(Duration),
    /// The call fails with this code.
    Error(CK_RV),
    /// The process ends by SIGABRT.
    Die,
    /// The token is not in its slot; whoever calls loses its sessions.
    Removed,
    /// The caller's sessions and its login are gone.
    SessionsLost,
    /// One bit of what `C_Sign` gives is turned.
    Corrupt,
    /// An attribute of these objects is shown with another value; `None` shows the real one even of a secret.
    Lie(Objects, CK_ATTRIBUTE_TYPE, Option<Vec<u8>>),
    /// A process may have no more sessions than this.
    SessionLimit(usize),
    /// A flag is set in the token's information.
    Flag(CK_FLAGS),
}

/// Which objects a lie is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objects {
    /// All.
    All,
    /// Data objects.
    Data,
    /// Keys.
    Keys,
}

/// When a line that fits a call bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Each time.
    Always,
    /// The time with this number, from 1.
    At(u64),
    /// The first so many times.
    Times(u64),
    /// In so many of so many, by a hash of the count: the same in each run.
    Chance(u64, u64),
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// As it was written.
    text: String,
    /// What it does.
    pub(crate) action: Action,
    /// The function it is about; all without one.
    function: Option<String>,
    /// The mechanism it is about.
    mechanism: Option<String>,
    /// When it bites.
    when: When,
}

/// The script as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// Its lines.
    rules: Vec<Rule>,
    /// Which version of the file it is.
    version: String,
}

impl Script {
    /// Reads the file; none means no faults, a line that cannot be read fails every call.
    pub(crate) fn read(home: &Home) -> Answer<Self> {
        let path = home.join("script");
        let Ok(meta) = std::fs::metadata(&path) else { return Ok(Self::default()) };
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Self::default()) };
        let rules = parse(&text).ok_or(CKR_GENERAL_ERROR)?;
        let version = format!("{} {} {}", meta.ino(), meta.mtime(), meta.mtime_nsec());
        Ok(Self { rules, version })
    }

    /// Whether a line is still there.
    pub(crate) fn has(&self, rule: &Rule) -> bool {
        self.rules.iter().any(|own| own.text == rule.text)
    }

    /// The actions of all lines, for those that hold at any call.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.rules.iter().map(|rule| &rule.action)
    }

    /// The lines of a kind that bite at this call. Each that fits is counted.
    pub(crate) fn biting(
        &self,
        home: &Home,
        call: &Call,
        kind: impl Fn(&Action) -> bool,
    ) -> Answer<Vec<Rule>> {
        let fits: Vec<&Rule> =
            self.rules.iter().filter(|rule| kind(&rule.action) && rule.fits(call)).collect();
        if fits.iter().all(|rule| rule.when == When::Always) {
            return Ok(fits.into_iter().cloned().collect());
        }
        let _locked = home.lock()?;
        let mut counts = Counts::read(home, &self.version);
        let bites = fits.into_iter().filter(|rule| rule.bites(counts.next(&rule.text))).cloned().collect();
        counts.write(home)?;
        Ok(bites)
    }
}

impl Rule {
    /// Whether the line is about this call.
    fn fits(&self, call: &Call) -> bool {
        self.function.as_ref().is_none_or(|function| function == call.function)
            && self.mechanism.as_ref().is_none_or(|mechanism| *mechanism == call.mechanism())
    }

    /// Whether it bites the `count`-th time.
    fn bites(&self, count: u64) -> bool {
        match self.when {
            When::Always => true,
            When::At(wanted) => count == wanted,
            When::Times(most) => count <= most,
            When::Chance(of, all) => {
                let hash =
                    Sha256::new().chain_update(&self.text).chain_update(count.to_le_bytes()).finalize();
                hash.iter().take(6).fold(0, |sum, octet| (sum << 8) | u64::from(*octet)) % all < of
            }
        }
    }
}

/// How often each line has fitted.
struct Counts {
    /// The version of the script.
    version: String,
    /// By the line's text.
    counts: BTreeMap<String, u64>,
}

impl Counts {
    /// Those of this version of the script.
    fn read(home: &Home, version: &str) -> Self {
        let text = std::fs::read_to_string(home.join("counts")).unwrap_or_default();
        let mut lines = text.lines();
        let same = lines.next() == Some(version);
        let entry = |line: &str| {
            let (count, rule) = line.split_once('\t')?;
            Some((rule.to_owned(), count.parse().ok()?))
        };
        let counts = if same { lines.filter_map(entry).collect() } else { BTreeMap::new() };
        Self { version: version.to_owned(), counts }
    }

    /// Counts a line.
    fn next(&mut self, rule: &str) -> u64 {
        let count = self.counts.entry(rule.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// Keeps them.
    fn write(&self, home: &Home) -> Answer<()> {
        let mut text = format!("{}\n", self.version);
        for (rule, count) in &self.counts {
            text.push_str(&format!("{count}\t{rule}\n"));
        }
        // In place: a file that is cut and written anew goes to the disk at once, which would slow every call down.
        let file = File::options().create(true).truncate(false).write(true).open(home.join("counts"));
        let write = |mut file: File| {
            file.write_all(text.as_bytes())?;
            let len = file.stream_position()?;
            file.set_len(len)
        };
        file.and_then(write).map_err(failed)
    }
}

/// All lines; empty ones and those that start with `#` say nothing.
fn parse(text: &str) -> Option<Vec<Rule>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(line).collect()
}

/// One line.
fn line(text: &str) -> Option<Rule> {
    let mut words = text.split_whitespace();
    let action = action(&mut words)?;
    let mut rule =
        Rule { text: text.to_owned(), action, function: None, mechanism: None, when: When::Always };
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word {
            "on" => match value.split_once(':') {
                Some((function, mechanism)) => {
                    rule.function = Some(function.to_owned());
                    rule.mechanism = Some(mechanism.to_owned());
                }
                None => rule.function = Some(value.to_owned()),
            },
            "at" => rule.when = When::At(value.parse().ok()?),
            "times" => rule.when = When::Times(value.parse().ok()?),
            "chance" => {
                let (of, all) = value.split_once('/')?;
                rule.when = When::Chance(of.parse().ok()?, all.parse().ok().filter(|all| *all > 0)?);
            }
            _ => return None,
        }
    }
    Some(rule)
}

/// The action at the start of a line.
fn action<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Action> {
    Some(match words.next()? {
        "hang" => Action::Hang,
        "slow" => Action::Slow(Duration::from_millis(words.next()?.parse().ok()?)),
        "error" => Action::Error(names::code(words.next()?)?),
        "die" => Action::Die,
        "removed" => Action::Removed,
        "sessions-lost" => Action::SessionsLost,
        "corrupt" => Action::Corrupt,
        "lie" => {
            let (objects, attribute) = match words.next()?.split_once(':') {
                None => return None,
                Some(("any", attribute)) => (Objects::All, attribute),
                Some(("data", attribute)) => (Objects::Data, attribute),
                Some(("key", attribute)) => (Objects::Keys, attribute),
                Some(_) => return None,
            };
            let attribute = names::attribute(attribute)?;
            let value = match words.next()? {
                "readable" => None,
                hex => Some(data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?),
            };
            Action::Lie(objects, attribute, value)
        }
        "session-limit" => Action::SessionLimit(words.next()?.parse().ok()?),
        "flag" => Action::Flag(names::flag(words.next()?)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::{CKA_VALUE, CKM_EDDSA, CKM_SHA256_HMAC, CKR_DEVICE_ERROR};

    const SIGN: Call = Call { function: "C_Sign", mechanism: Some(CKM_SHA256_HMAC) };

    /// How often each of 1,000 calls is bitten by this script.
    fn bitten(text: &str, call: &Call) -> Vec<u64> {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        std::fs::write(home.join("script"), text).unwrap();
        let all = 1..=1000;
        let bites = |_: &u64| !Script::read(&home).unwrap().biting(&home, call, |_| true).unwrap().is_empty();
        all.filter(bites).collect()
    }

    #[test]
    fn every_action_is_understood() {
        let rule = line("error CKR_DEVICE_ERROR on C_Login times 2").unwrap();
        assert_eq!((rule.action, rule.when), (Action::Error(CKR_DEVICE_ERROR), When::Times(2)));
        assert_eq!(
            line("lie key:CKA_VALUE readable").unwrap().action,
            Action::Lie(Objects::Keys, CKA_VALUE, None)
        );
        for good in [
            "hang",
            "slow 200",
            "die on C_Sign at 3",
            "removed",
            "sessions-lost at 1",
            "session-limit 1",
            "corrupt on C_Sign:CKM_EDDSA chance 1/100",
            "lie any:CKA_TOKEN 00",
            "flag CKF_USER_PIN_FINAL_TRY",
        ] {
            assert!(line(good).is_some(), "{good}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_never_passed_over() {
        for bad in [
            "hangs",
            "slow",
            "slow x",
            "error CKR_X",
            "hang on",
            "hang at x",
            "hang maybe 1",
            "corrupt chance 1/0",
            "lie any:CKA_X 00",
            "lie CKA_TOKEN 00",
            "flag CKF_X",
            "session-limit",
        ] {
            assert_eq!(parse(&format!("hang\n{bad}\n")), None, "{bad}");
        }
    }

    #[test]
    fn lines_bite_when_and_where_they_say() {
        assert_eq!(bitten("hang on C_Sign at 3", &SIGN), [3]);
        assert_eq!(bitten("hang on C_Sign times 2", &SIGN), [1, 2]);
        assert_eq!(bitten("hang", &SIGN).len(), 1000);
        assert_eq!(bitten("hang on C_Login", &SIGN).len(), 0);
        assert_eq!(bitten("hang on C_Sign:CKM_EDDSA", &SIGN).len(), 0);
        assert_eq!(
            bitten("hang on C_Sign:CKM_EDDSA", &Call { mechanism: Some(CKM_EDDSA), ..SIGN }).len(),
            1000
        );
        let some = bitten("corrupt chance 1/100", &SIGN);
        assert!((3..=25).contains(&some.len()), "{} of 1,000", some.len());
        assert_eq!(some, bitten("corrupt chance 1/100", &SIGN), "not the same again");
    }
}
