//! Each check with a fact that is well and with every fact that is not.

use super::super::Mark;
use super::super::facts::{Holder, Machine, Unit};
use super::*;
use crate::audit_key::AuditKey;
use crate::config::MemoryLock;

const NOW: UnixTime = UnixTime(1_795_365_600);

fn trouble(kind: Kind) -> Trouble {
    Trouble { kind, text: "on order".to_owned(), hint: "wait".to_owned() }
}

fn key(seed: u8) -> AuditKey {
    AuditKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes())
}

fn looked(mode: u32) -> Looked {
    Looked { path: "/a".to_owned(), guard: Ok(Guard { owner: 997, mode }) }
}

fn gone() -> Looked {
    Looked { path: "/a".to_owned(), guard: Err("No such file".to_owned()) }
}

fn good_token() -> TokenSeen {
    TokenSeen {
        label: "onionkeep".to_owned(),
        manufacturer: "Acme".to_owned(),
        model: "Safe 3".to_owned(),
        pin_set: true,
        ..TokenSeen::default()
    }
}

fn good_inside() -> Inside {
    Inside {
        root: Ok(()),
        audit: Ok(Some(key(1))),
        onions: vec![("[...]abc.onion".to_owned(), Ok(()))],
        unreadable: 0,
    }
}

fn good_configured() -> Configured {
    Configured {
        onions: 1,
        memory_lock: MemoryLock::Required,
        pin_source: PinSource::Credential("pin".to_owned()),
        pin_file: None,
        module_file: looked(0o644),
        token: Ok(good_token()),
        inside: Some(Ok(good_inside())),
        state_dir: looked(0o700),
        socket_dir: looked(0o755),
        socket: Some(Guard { owner: 997, mode: 0o660 }),
        record: Record { whole: Ok("12 lines".to_owned()), written: Some(NOW), key: Some(key(1)) },
        holders: Holders::default(),
    }
}

fn good_machine() -> Machine {
    Machine {
        unlimited_lock: true,
        no_core: true,
        modules: Some("capability,landlock,yama".to_owned()),
        seccomp: Some("kill_process".to_owned()),
        kernel: "6.1.0-31-amd64".to_owned(),
        time_service: Some("chrony runs".to_owned()),
        ..Machine::default()
    }
}

fn good_unit() -> Unit {
    let text = "LoadCredential=pin:/a\nLimitMEMLOCK=infinity\nNoNewPrivileges=yes\nPrivateNetwork=yes\nWatchdogSec=30\n";
    Unit { path: "/u".to_owned(), text: text.to_owned() }
}

#[track_caller]
fn is(finding: &Finding, mark: Mark, words: &str) {
    assert_eq!(finding.mark, mark, "{finding:?}");
    assert!(finding.text.contains(words), "{words}: {finding:?}");
    assert_eq!(finding.fix.is_empty(), mark == Mark::Ok, "{finding:?}");
}

#[test]
fn a_good_signer_has_only_good_lines_each_named_in_the_document() {
    let facts = Facts {
        config_file: looked(0o644),
        configured: Ok(good_configured()),
        machine: good_machine(),
        unit: Some(good_unit()),
        now: NOW,
    };
    let report = all(&facts);
    assert!(report.0.iter().all(|finding| finding.mark == Mark::Ok), "{report}");
    assert_eq!(report.exit_code(), 0);
    let document = include_str!("../../../../docs/operate/troubleshoot.md");
    for finding in &report.0 {
        assert!(document.contains(&format!("| `{}` |", finding.check)), "{}", finding.check);
    }
}

#[test]
fn without_a_configuration_the_machine_is_still_looked_at() {
    let facts = Facts {
        config_file: gone(),
        configured: Err(vec!["line 3: unknown key".to_owned()]),
        machine: good_machine(),
        unit: None,
        now: NOW,
    };
    let report = all(&facts);
    assert_eq!(report.exit_code(), 2);
    assert!(report.0.iter().any(|finding| finding.check == "sandbox"));
}

#[test]
fn config_accepts_and_rejects() {
    is(&config(&Ok(good_configured())), Mark::Ok, "1 onion");
    is(&config(&Ok(Configured { onions: 0, ..good_configured() })), Mark::Warn, "nobody");
    is(&config(&Err(vec!["a".to_owned(), "b".to_owned()])), Mark::Fail(Kind::Usage), "a; b");
}

#[test]
fn config_file_accepts_and_rejects() {
    is(&config_file(&looked(0o644)), Mark::Ok, "owner alone");
    for mode in [0o664, 0o646, 0o666] {
        is(&config_file(&looked(mode)), Mark::Fail(Kind::Usage), "can be written");
    }
    is(&config_file(&gone()), Mark::Fail(Kind::Usage), "No such file");
}

#[test]
fn module_accepts_and_rejects() {
    is(&module(&looked(0o755)), Mark::Ok, "/a");
    is(&module(&looked(0o775)), Mark::Fail(Kind::Usage), "sees the PIN");
    is(&module(&gone()), Mark::Fail(Kind::Usage), "No such file");
}

#[test]
fn token_accepts_and_rejects() {
    is(&token(&Ok(good_token())), Mark::Ok, "Safe 3");
    is(&token(&Err(trouble(Kind::Away))), Mark::Fail(Kind::Away), "on order");
}

#[test]
fn pin_tries_accepts_and_rejects() {
    let pin = |change: fn(&mut TokenSeen)| {
        let mut token = good_token();
        change(&mut token);
        pin_tries(&token)
    };
    is(&pin(|_same| {}), Mark::Ok, "all tries");
    is(&pin(|token| token.pin_was_wrong = true), Mark::Warn, "wrong PIN");
    is(&pin(|token| token.pin_final_try = true), Mark::Fail(Kind::Pin), "one more");
    is(&pin(|token| token.pin_locked = true), Mark::Fail(Kind::Pin), "locked");
    is(&pin(|token| token.pin_set = false), Mark::Fail(Kind::Pin), "no user PIN");
}

#[test]
fn firmware_accepts_and_rejects() {
    let named = |manufacturer: &str, model: &str, firmware| {
        let (manufacturer, model) = (manufacturer.to_owned(), model.to_owned());
        firmware_of(TokenSeen { manufacturer, model, firmware, ..good_token() })
    };
    fn firmware_of(token: TokenSeen) -> Finding {
        firmware(&token)
    }
    is(&named("Acme", "Safe 3", Some((1, 0))), Mark::Ok, "nothing");
    is(&named("Yubico (www.yubico.com)", "YubiHSM", Some((2, 4))), Mark::Ok, "nothing");
    is(&named("Yubico (www.yubico.com)", "YubiHSM", None), Mark::Ok, "nothing");
    is(&named("Yubico (www.yubico.com)", "YubiHSM", Some((2, 2))), Mark::Warn, "2.3");
    is(&named("SoftHSM project", "SoftHSM v2", Some((2, 6))), Mark::Warn, "never locks");
    is(&named("IBM Corp.", "IBM SoftTok", None), Mark::Warn, "not true");
}

#[test]
fn pin_source_accepts_and_rejects() {
    let credential = PinSource::Credential("pin".to_owned());
    is(&pin_source(&credential, None, Some(997)), Mark::Ok, "pin");
    is(&pin_source(&PinSource::Prompt, None, Some(997)), Mark::Warn, "typed");
    let file = PinSource::File("/a".into());
    for mode in [0o400, 0o600] {
        is(&pin_source(&file, Some(&looked(mode)), Some(997)), Mark::Ok, "owner alone");
    }
    for mode in [0o440, 0o604, 0o620] {
        is(&pin_source(&file, Some(&looked(mode)), Some(997)), Mark::Fail(Kind::Pin), "group or others");
    }
    is(&pin_source(&file, Some(&looked(0o400)), Some(0)), Mark::Fail(Kind::Pin), "uid 997");
    is(&pin_source(&file, Some(&gone()), Some(997)), Mark::Fail(Kind::Pin), "No such file");
    let of_root = Looked { path: "/a".to_owned(), guard: Ok(Guard { owner: 0, mode: 0o400 }) };
    is(&pin_source(&file, Some(&of_root), Some(997)), Mark::Ok, "owner alone");
}

#[test]
fn token_users_accepts_and_rejects() {
    let holder = |name: &str| Holder { pid: 7, name: name.to_owned() };
    let with = |all: Vec<Holder>| holders(&Holders { all, hidden: 2 });
    is(&with(vec![]), Mark::Ok, "nobody else; 2 processes");
    is(&with(vec![holder("onionkeep-signe")]), Mark::Ok, "only onionkeep-signe (7)");
    is(&with(vec![holder("onionkeep-signe"), holder("p11tool")]), Mark::Warn, "p11tool (7)");
}

#[test]
fn objects_accept_and_reject() {
    let record = good_configured().record;
    let marks =
        |inside: &Inside| objects(inside, &record).iter().map(|finding| finding.mark).collect::<Vec<_>>();
    assert_eq!(marks(&good_inside()), [Mark::Ok; 3]);
    let bad = Mark::Fail(Kind::Verification);
    let broken = || trouble(Kind::Verification);
    assert_eq!(marks(&Inside { root: Err(broken()), ..good_inside() })[0], bad);
    assert_eq!(marks(&Inside { onions: vec![("x".to_owned(), Err(broken()))], ..good_inside() })[1], bad);
    assert_eq!(marks(&Inside { unreadable: 1, ..good_inside() })[2], Mark::Warn);
    assert_eq!(marks(&Inside { audit: Ok(None), ..good_inside() })[2], Mark::Warn);
    assert_eq!(marks(&Inside { audit: Err(broken()), ..good_inside() })[2], bad);
    let other = marks(&Inside { audit: Ok(Some(key(2))), ..good_inside() });
    assert_eq!(other[2], Mark::Fail(Kind::Ledger));
}

#[test]
fn a_refused_log_in_is_a_line_with_the_code_of_a_pin() {
    let mut found = Vec::new();
    let inside = Some(Err(trouble(Kind::Pin)));
    token_lines(&Configured { inside, ..good_configured() }, &mut found);
    assert_eq!(Report(found).exit_code(), 6);
    let mut found = Vec::new();
    token_lines(&Configured { inside: None, ..good_configured() }, &mut found);
    assert!(found.iter().all(|finding| finding.check != "root-key"));
}

#[test]
fn state_dir_accepts_and_rejects() {
    is(&state_dir(&looked(0o700)), Mark::Ok, "alone");
    is(&state_dir(&looked(0o750)), Mark::Warn, "looked into");
    for mode in [0o770, 0o702] {
        is(&state_dir(&looked(mode)), Mark::Fail(Kind::Usage), "can be written");
    }
    is(&state_dir(&gone()), Mark::Fail(Kind::Usage), "No such file");
}

#[test]
fn socket_accepts_and_rejects() {
    let with = |mode| Some(Guard { owner: 997, mode });
    is(&socket(&looked(0o755), with(0o660)), Mark::Ok, "guarded");
    is(&socket(&looked(0o755), None), Mark::Ok, "no signer");
    is(&socket(&looked(0o755), with(0o666)), Mark::Warn, "everybody");
    is(&socket(&looked(0o777), with(0o660)), Mark::Fail(Kind::Usage), "another socket");
    is(&socket(&gone(), None), Mark::Fail(Kind::Usage), "No such file");
}

#[test]
fn ledger_accepts_and_rejects() {
    let with = |whole| record(&Record { whole, written: None, key: None });
    is(&with(Ok("12 lines".to_owned())), Mark::Ok, "12 lines");
    is(&with(Err(trouble(Kind::Ledger))), Mark::Fail(Kind::Ledger), "on order");
}

#[test]
fn clock_accepts_and_rejects() {
    is(&clock(NOW, None), Mark::Ok, "2026-11-22");
    is(&clock(NOW, Some(UnixTime(NOW.0 + 60))), Mark::Ok, "2026-11-22");
    is(&clock(NOW, Some(UnixTime(NOW.0 + 61))), Mark::Fail(Kind::Clock), "ledger was written");
    for absurd in [0, EARLIEST.0 - 1, LATEST.0 + 1] {
        is(&clock(UnixTime(absurd), None), Mark::Fail(Kind::Clock), "it shows");
    }
    is(&clock(EARLIEST, None), Mark::Ok, "2026-01-01");
    is(&clock(LATEST, None), Mark::Ok, "2100-01-01");
}

#[test]
fn time_service_accepts_and_rejects() {
    is(&time_service(&good_machine()), Mark::Ok, "chrony");
    is(&time_service(&Machine { time_service: None, ..good_machine() }), Mark::Warn, "no sign");
}

#[test]
fn memory_lock_accepts_and_rejects() {
    is(&memory_lock(MemoryLock::Required, true), Mark::Ok, "possible");
    is(&memory_lock(MemoryLock::Required, false), Mark::Warn, "does not start");
    is(&memory_lock(MemoryLock::IfPossible, true), Mark::Warn, "may be swapped");
}

#[test]
fn swap_accepts_and_rejects() {
    let disk = ["/dev/sda2".to_owned()];
    is(&swap(&[], MemoryLock::IfPossible), Mark::Ok, "none");
    is(&swap(&disk, MemoryLock::Required), Mark::Ok, "locked");
    is(&swap(&disk, MemoryLock::IfPossible), Mark::Warn, "/dev/sda2");
}

#[test]
fn core_dumps_accepts_and_rejects() {
    is(&core(&good_machine()), Mark::Ok, "none");
    is(&core(&Machine { crash_kernel: true, ..good_machine() }), Mark::Warn, "crash kernel");
    is(&core(&Machine { no_core: false, ..good_machine() }), Mark::Fail(Kind::Internal), "could leave");
}

#[test]
fn sandbox_accepts_and_rejects() {
    let with = |modules: Option<&str>, kernel: &str| {
        sandbox(&Machine { modules: modules.map(str::to_owned), kernel: kernel.to_owned(), ..good_machine() })
    };
    is(&with(Some("lockdown,landlock"), "6.1.0"), Mark::Ok, "landlock and seccomp");
    is(&with(None, "5.13.0-1"), Mark::Ok, "not shown");
    is(&with(None, "6.18"), Mark::Ok, "not shown");
    is(&with(None, "5.12.9"), Mark::Fail(Kind::Usage), "no landlock");
    is(&with(None, ""), Mark::Fail(Kind::Usage), "no landlock");
    is(&with(Some("capability,yama"), "6.1.0"), Mark::Fail(Kind::Usage), "landlock off");
    is(&sandbox(&Machine { seccomp: None, ..good_machine() }), Mark::Fail(Kind::Usage), "no seccomp");
}

#[test]
fn unit_accepts_and_rejects() {
    is(&unit(&good_unit()), Mark::Ok, "/u");
    let text = good_unit().text.replace("WatchdogSec", "#WatchdogSec").replace("Load", "#Load");
    is(&unit(&Unit { text, ..good_unit() }), Mark::Warn, "LoadCredential, WatchdogSec");
}
