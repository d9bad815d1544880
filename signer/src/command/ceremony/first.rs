//! The first ceremony of all: token, ledger, key, backup, a second token, the publisher's request key, the sheet to sign.
//!
//! Which step is done is seen from the world, not from a note: from configuration, token and ledger. So every step can be done by
//! hand too, and a power cut between a deed and its note changes nothing.

use super::guided::{doctor, head};
use super::{answer, books, enrol, onions, open_vault};
use crate::backup::store::{Backup, export};
use crate::backup::{Plan as Split, Store};
use crate::ceremony::confirm::Given;
use crate::ceremony::folder::{Folder, Plan};
use crate::ceremony::{MARK, files, is_marked, policy};
use crate::cli::{CeremonyStart, Said, Told};
use crate::clock::{Clock, Iso, SystemClock};
use crate::command::backup::Shares;
use crate::command::{audit, backup, key_import, key_new, token_init};
use crate::config::{Config, Depth};
use crate::doctor::WARNED;
use crate::error::{Failure, Kind};
use crate::ledger::{Custody, Event, Keep, Ledger, Memory, Serial};
use crate::token::pkcs11::Access;
use onionkeep_common::OnionAddress;
use onionkeep_common::paper::{Purpose, spoken};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The steps of the first ceremony.
pub(super) const STEPS: [&str; 10] =
    ["clock", "token", "ledger", "key", "backup", "second", "publisher", "doctor", "checkpoint", "sheet"];

/// What is noted once the shares have opened the key: of which set, for which token, and what came of it.
const RESTORED: &str = "restored";
/// The second token got the key from the shares.
const SEALED: &str = "sealed";
/// It had the key before.
const TRIED: &str = "tried";

/// A set of shares and a token, as a note names them.
fn about(backup: &Backup, token: &Config) -> Result<String, Failure> {
    Ok(format!("{} {}", backup.set.short_name(), token.serial()?))
}

/// What came of the shares in this ceremony, if they were asked for.
fn seen<'a>(folder: &'a Folder, about: &str) -> Option<&'a str> {
    folder.noted(RESTORED)?.strip_prefix(about)?.strip_prefix(' ')
}

/// Whether it goes on.
enum Next {
    /// It does.
    On,
    /// Something is to be done by hand first.
    Pause(String),
}

/// What was agreed, from the command line.
pub(super) fn plan(start: &CeremonyStart) -> Result<Plan, Failure> {
    let Some(second) = &start.second else {
        let text = "the first ceremony restores the key onto a second token, before the first one is trusted. Nothing was begun";
        return Err(Failure::new(
            Kind::Usage,
            text,
            "add --second FILE, the configuration of the second token",
        ));
    };
    Split::new(start.threshold, start.shares)?;
    let mut plan = Plan::default()
        .with("kind", "first")?
        .with("rehearsal", if start.look.rehearse { "yes" } else { "no" })?
        .with_path("second", second)?
        .with("shares", &start.shares.to_string())?
        .with("threshold", &start.threshold.to_string())?;
    if let Some(import) = &start.import {
        plan = plan.with_path("import", import)?;
    }
    if let Some(onion) = &start.onion {
        plan = plan.with("onion", &onion.to_string())?;
    }
    Ok(plan)
}

/// The first ceremony, as far as it goes today.
struct First<'a> {
    /// The first token's configuration.
    path: &'a Path,
    /// The second token's configuration.
    second: PathBuf,
    /// The ceremony's directory.
    folder: Folder,
    /// What was confirmed already.
    given: Given<'a>,
    /// What it was told.
    told: &'a Told,
    /// Whether it counts.
    purpose: Purpose,
}

/// Goes on until the end, or a pause.
pub(super) fn go_on(path: &Path, folder: Folder, said: &Said, told: &Told) -> Result<ExitCode, Failure> {
    let purpose = super::enter(folder.plan.rehearses());
    let second = folder.plan.path("second").unwrap_or_default();
    let given = Given { heard: said.heard.as_deref(), watch: said.watch.as_deref() };
    let mut first = First { path, second, folder, given, told, purpose };
    let dir = first.folder.dir().display().to_string();
    answer(&format!("first ceremony in {dir}\n"))?;
    for step in STEPS {
        head(&STEPS, step, "")?;
        match first.step(step)? {
            Next::On => first.folder.finish(step, SystemClock.now())?,
            Next::Pause(what) => {
                answer(&format!(
                    "{what}\nThen go on: onionkeep-signer --config {} ceremony resume {dir}\n",
                    path.display()
                ))?;
                return Ok(ExitCode::from(WARNED));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl First<'_> {
    /// One step; what is done already is not done again.
    fn step(&mut self, step: &str) -> Result<Next, Failure> {
        match step {
            "clock" => self.clock(),
            "token" => self.token(self.path, self.told.erase.as_deref()),
            "ledger" => self.ledger(),
            "key" => self.key(),
            "backup" => self.backup(),
            "second" => self.second(),
            "publisher" => self.publisher(),
            "doctor" => doctor(self.path, true).map(|()| Next::On),
            "checkpoint" => answer(&audit::checkpoint(self.path)?).map(|()| Next::On),
            _ => self.sheet(),
        }
    }

    /// The configuration as it is now: it grows during the ceremony.
    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.path, Depth::Text)?)
    }

    /// The onion of this ceremony, once the configuration names it.
    fn onion(&self) -> Result<OnionAddress, Failure> {
        let noted = self.folder.noted("onion").or_else(|| self.folder.plan.get("onion"));
        let none = || Failure::new(Kind::Usage, "the ceremony has no key yet", "go on with ceremony resume");
        noted.and_then(|text| text.parse().ok()).ok_or_else(none)
    }

    /// What the ledger says.
    fn memory(&self, config: &Config) -> Result<Memory, Failure> {
        Ok(Ledger::peek(&config.state_dir, Keep::for_periods(&config.periods))?)
    }

    /// The clock against a watch.
    fn clock(&self) -> Result<Next, Failure> {
        let (now, watch) = (SystemClock.now(), self.given.watch()?);
        policy::clock_confirmed(now, watch)?;
        answer(&format!("the watch agrees with the clock, {}\n", Iso(now)))?;
        self.separate()?;
        Ok(Next::On)
    }

    /// A rehearsal touches nothing that counts, and what counts nothing of a rehearsal.
    fn separate(&self) -> Result<(), Failure> {
        let config = self.config()?;
        let hint = "a rehearsal has its own token, state_dir and configuration";
        let no = |what: String| Err(Failure::new(Kind::Refused, format!("{what}. Nothing was done"), hint));
        let memory = if Ledger::exists(&config.state_dir) { Some(self.memory(&config)?) } else { None };
        let ceremonies = memory.as_ref().map(Memory::ceremonies);
        match self.purpose {
            Purpose::Real if ceremonies.is_some_and(|known| known.is_rehearsed()) => {
                no("this ledger was used to practise".to_owned())
            }
            Purpose::Rehearsal if ceremonies.is_some_and(|known| known.is_real()) => {
                no("this ledger is of certificates that count".to_owned())
            }
            Purpose::Rehearsal if self.told.erase.is_some() => no("a rehearsal erases no token".to_owned()),
            Purpose::Rehearsal => match onions(&config).into_iter().find(|onion| !is_marked(onion)) {
                Some(onion) => no(format!("{onion} counts: addresses of a rehearsal begin with {MARK}")),
                None => Ok(()),
            },
            Purpose::Real => Ok(()),
        }
    }

    /// A token that is prepared: its serial stands in the configuration.
    fn token(&self, path: &Path, erase: Option<&str>) -> Result<Next, Failure> {
        let config = Config::load(path, Depth::Text)?;
        let Some(serial) = &config.token.serial else {
            if let Some(serial) = erase {
                let what = format!("Everything on the token {serial} is destroyed.");
                self.given.sentence(&what, &format!("ERASE {serial}"))?;
            }
            return token_init(path, erase).map(Next::Pause);
        };
        let mut vault = open_vault(&config, Access::Read)?;
        let real = vault.show().into_iter().find(|key| !is_marked(&key.onion));
        if let (Purpose::Rehearsal, Some(key)) = (self.purpose, real) {
            let text = format!("the token has the key of {}, which counts. Nothing was done", key.onion);
            return Err(Failure::new(Kind::Refused, text, "rehearse with a throw-away token"));
        }
        answer(&format!("token {:?} {serial} is prepared, and opens\n", config.token.label))?;
        Ok(Next::On)
    }

    /// The ledger, and the audit key on the token.
    fn ledger(&self) -> Result<Next, Failure> {
        let config = self.config()?;
        let text = if Ledger::exists(&config.state_dir) {
            format!("there is a ledger in {}\n", config.state_dir.display())
        } else {
            books::init(self.path, false)?
        };
        answer(&text)?;
        Ok(Next::On)
    }

    /// The key on the token, and its address in the configuration.
    fn key(&mut self) -> Result<Next, Failure> {
        let config = self.config()?;
        if self.onion().is_err() {
            let onion = match self.unnamed(&config)? {
                // A broken-off ceremony made it.
                Some(onion) => onion,
                None => match self.folder.plan.path("import") {
                    Some(file) => key_import(self.path, &file, None)?,
                    None => key_new(self.path, self.purpose)?,
                },
            };
            self.folder.note("onion", &onion.to_string())?;
        }
        let onion = self.onion()?;
        if !onions(&config).contains(&onion) {
            return Ok(Next::Pause(crate::command::kept(onion)));
        }
        open_vault(&config, Access::Read)?.check(onion)?;
        answer(&format!("{onion}\nits key is sealed to the token, and opens\n"))?;
        Ok(Next::On)
    }

    /// The one key on the token that no configuration names yet.
    fn unnamed(&self, config: &Config) -> Result<Option<OnionAddress>, Failure> {
        let known = onions(config);
        let mut vault = open_vault(config, Access::Read)?;
        let mut found = vault.show().into_iter().map(|key| key.onion).filter(|onion| !known.contains(onion));
        match (found.next(), found.next()) {
            (one, None) => Ok(one),
            (_, Some(_)) => Err(Failure::new(
                Kind::Usage,
                "the token has several keys that the configuration does not name",
                "start again with --onion ADDRESS",
            )),
        }
    }

    /// The backup, custodian by custodian, and its two public files beside the transcript.
    fn backup(&self) -> Result<Next, Failure> {
        let (config, onion) = (self.config()?, self.onion()?);
        if self.memory(&config)?.backup(&onion).is_none() {
            let number = |name| self.folder.plan.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
            let plan = Split::new(number("threshold"), number("shares"))?;
            answer(&backup::split(self.path, onion, plan, &[])?)?;
        }
        for path in export(&Store(&config.state_dir).latest(&onion)?, self.folder.dir())? {
            answer(&format!("{}\n", path.display()))?;
        }
        Ok(Next::On)
    }

    /// The key on a second token, from the shares: before that, nobody relies on the backup.
    fn second(&mut self) -> Result<Next, Failure> {
        let (config, onion) = (self.config()?, self.onion()?);
        let other = Config::load(&self.second, Depth::Text)?;
        if other.state_dir == config.state_dir || other.token.serial == config.token.serial {
            let text = "both configurations name the same token or the same state_dir. Nothing was restored";
            return Err(Failure::new(Kind::Usage, text, "give the second token a configuration of its own"));
        }
        if let Next::Pause(what) = self.token(&self.second, None)? {
            return Ok(Next::Pause(what));
        }
        self.restore(&config, &other, onion)?;
        open_vault(&other, Access::Read)?.check(onion)?;
        let serial = Serial::new(other.serial()?);
        if self.folder.noted("second").is_none() {
            books::record(&mut books::open(&config)?, Event::Custody(Custody::Copied { onion, serial }))?;
        }
        answer(&format!(
            "the second token {:?} has the same address: the backup is good\n",
            other.token.label
        ))?;
        Ok(Next::On)
    }

    /// Has the shares of this backup open the key, once in a ceremony: whether or not the second token has it already, only what
    /// was seen here is attested on the sheet.
    fn restore(&mut self, config: &Config, other: &Config, onion: OnionAddress) -> Result<(), Failure> {
        let backup = Store(&config.state_dir).latest(&onion)?;
        let about = about(&backup, other)?;
        if seen(&self.folder, &about).is_some() {
            return Ok(());
        }
        let [wrapped, verifier] = export(&backup, self.folder.dir())?;
        let restored = backup::bring_back(&self.second, &wrapped, &verifier, false, Shares::Always)?;
        answer(&restored.text)?;
        let how = if restored.sealed { SEALED } else { TRIED };
        self.folder.note(RESTORED, &format!("{about} {how}"))
    }

    /// Whose requests count.
    fn publisher(&self) -> Result<Next, Failure> {
        let (config, onion) = (self.config()?, self.onion()?);
        if let Some(key) = self.memory(&config)?.ceremonies().requester(&onion) {
            answer(&format!("enrolled: {}\n", spoken(&key.0)))?;
            return Ok(Next::On);
        }
        let Some(key) = &self.told.publisher else {
            return Ok(Next::Pause(format!(
                "On the publisher: onionkeep-publisher request key --onion {onion}\n\
                 It prints a key of 64 hex digits, and ten words to read aloud. Add --publisher KEY to the line below."
            )));
        };
        answer(&enrol(&config, onion, key, self.given.heard)?)?;
        Ok(Next::On)
    }

    /// What is printed, signed by two and kept apart from the token.
    fn sheet(&self) -> Result<Next, Failure> {
        let (config, onion) = (self.config()?, self.onion()?);
        let other = Config::load(&self.second, Depth::Text)?;
        let memory = self.memory(&config)?;
        let ledger = books::open(&config)?;
        let (line, hash) = ledger.head();
        let requester = memory.ceremonies().requester(&onion).map_or_else(String::new, |key| spoken(&key.0));
        let made = memory.backup(&onion);
        let (generation, threshold, shares) =
            made.map_or((0, 0, 0), |made| (made.generation, made.threshold, made.shares));
        let about = about(&Store(&config.state_dir).latest(&onion)?, &other)?;
        let attested = match seen(&self.folder, &about) {
            Some(SEALED) => {
                "We have seen that the second token, restored from the shares, has the same address."
            }
            Some(_tried) => {
                "The second token had the key before this ceremony: it was NOT restored from the shares.\n\
                 We have seen that it has the same address, and that the shares open the key of this address."
            }
            None => {
                let text = "nobody saw in this ceremony that the shares of the latest backup open the key. No sheet was made";
                return Err(Failure::new(
                    Kind::Refused,
                    text,
                    "go on with ceremony resume, which asks for the shares",
                ));
            }
        };
        let text = crate::room::marked(&format!(
            "Onionkeep: sheet of the first ceremony\n\n\
             date                {}\naddress             {onion}\n\
             first token         {} {}\nsecond token        {} {}\naudit key           {}\n\
             publisher's key     {requester}\nbackup              generation {generation}, any {threshold} of {shares} shares\n\
             ledger              line {line}\n  hash              {hash}\n  words             {}\n\n\
             {attested}\n\n\
             administrator       ______________________________\n\n\
             witness             ______________________________\n",
            Iso(SystemClock.now()),
            config.token.label,
            config.serial()?,
            other.token.label,
            other.serial()?,
            ledger.key(),
            spoken(&hash.0),
        ));
        let path = self.folder.file("sheet.txt");
        files::replace(&path, text.as_bytes())?;
        answer(&format!(
            "{}: print it, both sign, keep it apart from the tokens.\n\
             Unplug both tokens. The first request is answered by\n  onionkeep-signer ceremony start DIR --first --request FILE\n",
            path.display()
        ))?;
        Ok(Next::On)
    }
}
