//! The checks: each judges one fact and says what to do. Pure functions, one per line of the table.

use super::facts::{Configured, Facts, Guard, Holders, Inside, Looked, Record, TokenSeen, Trouble};
use super::{Finding, Report, known};
use crate::clock::Iso;
use crate::error::Kind;
use crate::pin::PinSource;
use onionkeep_common::UnixTime;

mod machine;

use machine::{core, memory_lock, sandbox, swap, time_service, unit};

/// 2026-01-01: no clock is right that stands before it.
const EARLIEST: UnixTime = UnixTime(1_767_225_600);
/// 2100-01-01: no clock is right that stands after it.
const LATEST: UnixTime = UnixTime(4_102_444_800);
/// Bits that let group or others write.
const WRITABLE: u32 = 0o022;
/// Bits that let group or others in at all.
const OPEN: u32 = 0o077;

/// All checks in the order of the table.
#[must_use]
pub fn all(facts: &Facts) -> Report {
    let mut found = vec![config(&facts.configured), config_file(&facts.config_file)];
    let machine = &facts.machine;
    if let Ok(configured) = &facts.configured {
        token_lines(configured, &mut found);
        found.push(state_dir(&configured.state_dir));
        found.push(socket(&configured.socket_dir, configured.socket));
        found.push(record(&configured.record));
        found.push(clock(facts.now, configured.record.written));
        found.push(memory_lock(configured.memory_lock, machine.unlimited_lock));
        found.push(swap(&machine.swap, configured.memory_lock));
    } else {
        found.push(clock(facts.now, None));
    }
    found.extend([time_service(machine), core(machine), sandbox(machine)]);
    found.extend(facts.unit.as_ref().map(unit));
    Report(found)
}

/// The lines about the token.
fn token_lines(configured: &Configured, found: &mut Vec<Finding>) {
    found.push(module(&configured.module_file));
    found.push(token(&configured.token));
    if let Ok(token) = &configured.token {
        found.extend([pin_tries(token), firmware(token)]);
    }
    let state_owner = configured.state_dir.guard.as_ref().ok().map(|guard| guard.owner);
    found.push(pin_source(&configured.pin_source, configured.pin_file.as_ref(), state_owner));
    found.push(holders(&configured.holders));
    match &configured.inside {
        None => {}
        Some(Err(trouble)) => found.push(failed("log-in", trouble)),
        Some(Ok(inside)) => found.extend(objects(inside, &configured.record)),
    }
}

/// A failure as it was told.
fn failed(check: &'static str, trouble: &Trouble) -> Finding {
    Finding::fail(check, trouble.kind, &trouble.text, &trouble.hint)
}

/// Whether the configuration is good.
fn config(configured: &Result<Configured, Vec<String>>) -> Finding {
    match configured {
        Ok(Configured { onions: 0, .. }) => Finding::warn(
            "config",
            "no [[onion]] is configured: nobody is served",
            "key new or key import prints one",
        ),
        Ok(Configured { onions, .. }) => Finding::ok("config", format!("good, {onions} onion(s)")),
        Err(problems) => Finding::fail(
            "config",
            Kind::Usage,
            problems.join("; "),
            "correct it: check-config lists each line",
        ),
    }
}

/// Whether only root or its owner can change the configuration, which names a library that is loaded.
fn config_file(file: &Looked) -> Finding {
    match &file.guard {
        Err(why) => {
            Finding::fail("config-file", Kind::Usage, format!("{}: {why}", file.path), "--config names it")
        }
        Ok(guard) if guard.mode & WRITABLE != 0 => Finding::fail(
            "config-file",
            Kind::Usage,
            format!("{} can be written by group or others", file.path),
            format!("chmod go-w {}", file.path),
        ),
        Ok(_guard) => Finding::ok("config-file", format!("{} can be written by its owner alone", file.path)),
    }
}

/// Whether the module is a file that nobody else can replace.
fn module(file: &Looked) -> Finding {
    match &file.guard {
        Err(why) => Finding::fail(
            "module",
            Kind::Usage,
            format!("{}: {why}", file.path),
            "install the token's package, or correct module in [token]",
        ),
        Ok(guard) if guard.mode & WRITABLE != 0 => Finding::fail(
            "module",
            Kind::Usage,
            format!("{} can be written by group or others: it is code that sees the PIN", file.path),
            format!("chmod go-w {}", file.path),
        ),
        Ok(_guard) => Finding::ok("module", &file.path),
    }
}

/// Whether the module loads and shows exactly the configured token.
fn token(token: &Result<TokenSeen, Trouble>) -> Finding {
    match token {
        Ok(TokenSeen { label, manufacturer, model, .. }) => {
            Finding::ok("token", format!("{label:?} is there ({manufacturer}, {model})"))
        }
        Err(trouble) => failed("token", trouble),
    }
}

/// Whether the PIN may be tried.
fn pin_tries(token: &TokenSeen) -> Finding {
    let by_hand = "log in once with the token's own tool and the right PIN, which resets the count";
    match token {
        TokenSeen { pin_locked: true, .. } => {
            let fix = "unlock it with the token's own tool and the security officer's PIN";
            Finding::fail("pin-tries", Kind::Pin, "the user PIN is locked", fix)
        }
        TokenSeen { pin_final_try: true, .. } => Finding::fail(
            "pin-tries",
            Kind::Pin,
            "one more wrong PIN locks the token; serve does not use it up",
            by_hand,
        ),
        TokenSeen { pin_set: false, .. } => Finding::fail(
            "pin-tries",
            Kind::Pin,
            "the token has no user PIN yet",
            "onionkeep-signer token init",
        ),
        TokenSeen { pin_was_wrong: true, .. } => {
            Finding::warn("pin-tries", "a wrong PIN was tried since the last good log-in", by_hand)
        }
        TokenSeen { pin_set: true, .. } => Finding::ok("pin-tries", "all tries are left"),
    }
}

/// Whether the token is known to be weak.
fn firmware(token: &TokenSeen) -> Finding {
    match known::about(token) {
        Some(known) => Finding::warn("firmware", known.why, known.fix),
        None => Finding::ok("firmware", "nothing is known against this token"),
    }
}

/// Whether the PIN comes from a place that only the signer's user can read.
fn pin_source(source: &PinSource, file: Option<&Looked>, state_owner: Option<u32>) -> Finding {
    match (source, file) {
        (PinSource::Credential(name), _) => Finding::ok("pin-source", format!("systemd's credential {name}")),
        (PinSource::File(_), Some(file)) => pin_file(file, state_owner),
        (PinSource::Prompt | PinSource::File(_), _) => Finding::warn(
            "pin-source",
            "the PIN is typed: after a restart the signer waits for somebody",
            "pin = \"credential:pin\", if the machine may start alone",
        ),
    }
}

/// Whether the PIN's file is guarded: 0400 or 0600, and root's or the signer's.
fn pin_file(file: &Looked, state_owner: Option<u32>) -> Finding {
    let path = &file.path;
    match &file.guard {
        Err(why) => Finding::fail(
            "pin-source",
            Kind::Pin,
            format!("{path}: {why}"),
            "write the PIN there, on one line",
        ),
        Ok(guard) if guard.mode & OPEN != 0 => {
            let text = format!("{path} can be read or written by group or others (mode {:04o})", guard.mode);
            Finding::fail("pin-source", Kind::Pin, text, format!("chmod 400 {path}"))
        }
        Ok(guard) if guard.owner != 0 && Some(guard.owner) != state_owner => {
            let text = format!(
                "{path} belongs to uid {}, who is neither root nor the owner of state_dir",
                guard.owner
            );
            Finding::fail("pin-source", Kind::Pin, text, format!("chown it to the signer's user: {path}"))
        }
        Ok(_guard) => Finding::ok("pin-source", format!("{path} can be read by its owner alone")),
    }
}

/// Whether another program uses the token.
fn holders(holders: &Holders) -> Finding {
    let name = |holder: &super::facts::Holder| format!("{} ({})", holder.name, holder.pid);
    let foreign: Vec<_> =
        holders.all.iter().filter(|holder| !holder.name.starts_with("onionkeep-signe")).map(name).collect();
    if !foreign.is_empty() {
        let text = format!("other programs have the token's module loaded: {}", foreign.join(", "));
        return Finding::warn(
            "token-users",
            text,
            "stop them: a token may lose its log-in or its sessions by them",
        );
    }
    let hidden = match holders.hidden {
        0 => String::new(),
        some => format!("; {some} processes could not be looked into (run it as root)"),
    };
    let ours: Vec<_> = holders.all.iter().map(name).collect();
    let text = if ours.is_empty() { "nobody else".to_owned() } else { format!("only {}", ours.join(", ")) };
    Finding::ok("token-users", text + &hidden)
}

/// What a log-in showed, a line for each object.
fn objects(inside: &Inside, record: &Record) -> Vec<Finding> {
    let mut found = vec![match &inside.root {
        Ok(()) => {
            Finding::ok("root-key", "sensitive, not extractable, made on the token; its value is refused")
        }
        Err(trouble) => failed("root-key", trouble),
    }];
    for (onion, opens) in &inside.onions {
        found.push(match opens {
            Ok(()) => Finding::ok("seal", format!("{onion} opens, and is the key of its address")),
            Err(trouble) => failed("seal", trouble),
        });
    }
    if inside.unreadable != 0 {
        let text = format!("{} object(s) are no sealed key of this version", inside.unreadable);
        found.push(Finding::warn("seal", text, "key show names them"));
    }
    found.push(audit_key(inside, record));
    found
}

/// Whether the token has the audit key that the ledger names.
fn audit_key(inside: &Inside, record: &Record) -> Finding {
    match (&inside.audit, record.key) {
        (Err(trouble), _) => failed("audit-key", trouble),
        (Ok(None), _) => {
            let text = "the token has none: no checkpoint can be signed";
            Finding::warn("audit-key", text, "onionkeep-signer init makes it")
        }
        (Ok(Some(key)), Some(named)) if *key != named => {
            let text = "the ledger names another audit key than the token has";
            let fix = "after moving to another token: onionkeep-signer init --new-audit-key";
            Finding::fail("audit-key", Kind::Ledger, text, fix)
        }
        (Ok(Some(_key)), Some(_named)) => {
            Finding::ok("audit-key", "made on the token, guarded, and named by the ledger")
        }
        (Ok(Some(_key)), None) => Finding::ok("audit-key", "made on the token, and guarded"),
    }
}

/// Whether only the signer's user can look into the state directory.
fn state_dir(dir: &Looked) -> Finding {
    let path = &dir.path;
    match &dir.guard {
        Err(why) => Finding::fail(
            "state-dir",
            Kind::Usage,
            format!("{path}: {why}"),
            "make it, mode 0700, for the signer's user",
        ),
        Ok(Guard { mode, .. }) if mode & WRITABLE != 0 => {
            let text = format!("{path} can be written by group or others: they could take the record away");
            Finding::fail("state-dir", Kind::Usage, text, format!("chmod 700 {path}"))
        }
        Ok(Guard { mode, .. }) if mode & OPEN != 0 => {
            let text = format!("{path} can be looked into by group or others (mode {mode:04o})");
            Finding::warn("state-dir", text, format!("chmod 700 {path}"))
        }
        Ok(_guard) => Finding::ok("state-dir", format!("{path} is its owner's alone")),
    }
}

/// Whether nobody can put another socket in the place of ours.
fn socket(dir: &Looked, socket: Option<Guard>) -> Finding {
    let path = &dir.path;
    match (&dir.guard, socket) {
        (Err(why), _) => Finding::fail(
            "socket",
            Kind::Usage,
            format!("{path}: {why}"),
            "make it, or RuntimeDirectory= in the unit",
        ),
        (Ok(guard), _) if guard.mode & WRITABLE != 0 => {
            let text =
                format!("{path} can be written by group or others: they could put another socket there");
            Finding::fail("socket", Kind::Usage, text, format!("chmod go-w {path}"))
        }
        (Ok(_guard), Some(socket)) if socket.mode & 0o006 != 0 => {
            let text = format!(
                "everybody can connect (mode {:04o}); only configured uids are answered",
                socket.mode
            );
            Finding::warn("socket", text, "socket_mode = \"0660\" and a common group")
        }
        (Ok(_guard), Some(_socket)) => Finding::ok("socket", "there, and guarded"),
        (Ok(_guard), None) => Finding::ok("socket", "not there: no signer serves"),
    }
}

/// Whether the record of what was certified is whole.
fn record(record: &Record) -> Finding {
    match &record.whole {
        Ok(text) => Finding::ok("ledger", text),
        Err(trouble) => failed("ledger", trouble),
    }
}

/// Whether the clock can be right: not absurd, and not behind the last line of the record.
fn clock(now: UnixTime, written: Option<UnixTime>) -> Finding {
    let fix = "set the clock by a second one, then start the signer again";
    if now < EARLIEST || now > LATEST {
        return Finding::fail("clock", Kind::Clock, format!("it shows {}", Iso(now)), fix);
    }
    match written {
        // A minute: the file's time and ours are read one after the other.
        Some(written) if written.0 > now.0.saturating_add(60) => {
            let text = format!("it shows {}, and the ledger was written at {}", Iso(now), Iso(written));
            Finding::fail("clock", Kind::Clock, text, fix)
        }
        Some(_) | None => Finding::ok("clock", format!("it shows {}", Iso(now))),
    }
}

#[cfg(test)]
mod tests;
