//! Set-up, rights and recovery, against a device in memory that enforces them; each promise both ways.

use super::fake::Fake;
use super::init::{SetUp, set_up};
use super::memory::Memory;
use super::*;
use crate::vault::Vault;

mod log;

/// Password for serving.
const SERVE: &str = "serve serve serve serve";
/// Password for making keys.
const ADMIN: &str = "admin admin admin admin";
/// Some onion.
const ONION: &str = "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4bqead.onion";

fn pin(text: &str) -> Pin {
    Pin::new(text)
}

fn prepare(fake: &Fake, memory: &Memory, serve: &str, admin: &str) -> Result<String, TokenError> {
    let (serve, admin) = (pin(serve), pin(admin));
    let wanted = SetUp { serial: Some("0012345678"), serve: (2, &serve), admin: (3, &admin) };
    set_up(fake, &wanted, Box::new(memory.clone()))
}

fn open(fake: &Fake, memory: &Memory, password: &str, access: Access) -> Result<YubihsmToken, TokenError> {
    let key = if access == Access::Read { 2 } else { 3 };
    let name = TokenName { label: "yubihsm".to_owned(), serial: "0012345678".to_owned() };
    YubihsmToken::new(Box::new(fake.clone()), name, key, pin(password), access, Box::new(memory.clone()))
}

/// A device that was set up and has its keys.
fn ready() -> (Fake, Memory) {
    let (fake, memory) = (Fake::fresh(), Memory::default());
    assert_eq!(prepare(&fake, &memory, SERVE, ADMIN).unwrap(), "0012345678");
    let mut token = open(&fake, &memory, ADMIN, Access::Write).unwrap();
    token.create_root().unwrap();
    token.create_audit_key().unwrap();
    token.store(&ONION.parse().unwrap(), b"sealed").unwrap();
    (fake, memory)
}

fn serving(fake: &Fake, memory: &Memory) -> YubihsmToken {
    open(fake, memory, SERVE, Access::Read).unwrap()
}

fn unfit(fake: &Fake, memory: &Memory) -> String {
    match open(fake, memory, SERVE, Access::Read).err() {
        Some(TokenError::Unfit(why)) => why,
        other => panic!("not unfit: {other:?}"),
    }
}

#[test]
fn a_device_that_was_set_up_serves() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    token.check_root().unwrap();
    assert_eq!(token.sealed().unwrap(), [b"sealed"]);
    assert_eq!(*token.mac(b"a").unwrap(), *token.mac(b"a").unwrap());
    assert_ne!(*token.mac(b"a").unwrap(), *token.mac(b"b").unwrap());
    let signature = token.sign_audit(b"checkpoint").unwrap();
    token.audit_key().unwrap().verify(b"checkpoint", &signature).unwrap();
    assert!(token.audit_key().unwrap().verify(b"other", &signature).is_err());
    assert_eq!(memory.alarms(), Vec::<String>::new());
}

#[test]
fn a_key_that_the_admin_made_opens_for_serving_and_the_serving_key_makes_none() {
    let (fake, memory, dir) = (Fake::fresh(), Memory::default(), tempfile::tempdir().unwrap());
    prepare(&fake, &memory, SERVE, ADMIN).unwrap();
    let admin = open(&fake, &memory, ADMIN, Access::Write).unwrap();
    let onion = Vault::open(admin, dir.path()).unwrap().generate().unwrap();
    let mut vault = Vault::open(serving(&fake, &memory), dir.path()).unwrap();
    vault.check_root().unwrap();
    vault.check(onion).unwrap();
    let before = fake.with(|inside| inside.objects.len());
    assert!(vault.generate().is_err());
    assert_eq!(fake.with(|inside| inside.objects.len()), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no sealed key in a file");
}

#[test]
fn the_label_of_a_sealed_key_names_no_onion() {
    let (fake, _memory) = ready();
    let label = fake.with(|inside| inside.objects[&(Kind::Opaque, 0x6b10)].0.label.clone());
    assert!(label.len() <= 40 && label.starts_with(SEALED_LABEL), "{label}");
    assert!(!label.contains("aoqqpp"));
    assert_eq!(label, sealed_label(&ONION.parse().unwrap()));
}

#[test]
fn the_serving_key_cannot_make_store_or_delete() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    let count = || fake.with(|inside| inside.objects.len());
    let before = count();
    assert!(token.store(&ONION.parse().unwrap(), b"x").is_err());
    assert!(token.attempt("", |device| Ok(device.delete(Kind::Hmac, ROOT)?)).is_err());
    assert!(token.attempt("", |device| Ok(device.generate_hmac(9, "", 0)?)).is_err());
    assert_eq!(count(), before);
    // The refusals themselves are on record.
    token.empty().unwrap();
    assert!(memory.text().iter().any(|line| line.contains("command=58") && line.contains("result=09")));
}

#[test]
fn an_authentication_key_with_another_right_is_refused() {
    for bit in [1, 2, 12, 17, 28, 40, 43, 46, 60] {
        let (fake, memory) = ready();
        fake.with(|inside| {
            inside.objects.get_mut(&(Kind::Authentication, 2)).unwrap().0.capabilities |= 1 << bit;
        });
        let why = unfit(&fake, &memory);
        assert!(
            why.contains("may do more than it needs: ") && why.contains(&rights::names(1 << bit)),
            "{why}"
        );
    }
}

#[test]
fn an_authentication_key_that_may_give_rights_or_lacks_one_is_refused() {
    let (fake, memory) = ready();
    let change = |what: fn(&mut device::Info)| {
        fake.with(|inside| what(&mut inside.objects.get_mut(&(Kind::Authentication, 2)).unwrap().0));
    };
    change(|info| info.delegated = 1);
    assert!(unfit(&fake, &memory).contains("may give others: get-opaque"));
    change(|info| (info.delegated, info.capabilities) = (0, info.capabilities & !1));
    assert!(unfit(&fake, &memory).contains("may not get-opaque"));
}

#[test]
fn the_factory_key_is_refused() {
    let (fake, memory) = ready();
    fake.with(|inside| {
        let key = inside.objects[&(Kind::Authentication, 3)].clone();
        inside.objects.insert((Kind::Authentication, device::FACTORY_KEY), key);
    });
    assert!(unfit(&fake, &memory).contains("left the factory"));
}

#[test]
fn auditing_that_is_not_forced_is_refused() {
    let (fake, memory) = ready();
    fake.with(|inside| inside.forced = false);
    assert!(unfit(&fake, &memory).contains("force-audit"));
}

#[test]
fn a_device_that_does_not_log_hmacs_is_refused() {
    let (fake, memory) = ready();
    fake.with(|inside| inside.logged.remove(&SIGN_HMAC_COMMAND));
    assert!(unfit(&fake, &memory).contains("sign-hmac is not logged"));
}

#[test]
fn a_root_that_was_imported_or_is_exportable_is_refused() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    let change = |what: fn(&mut device::Info)| {
        fake.with(|inside| what(&mut inside.objects.get_mut(&(Kind::Hmac, ROOT)).unwrap().0));
    };
    let changes: [fn(&mut device::Info); 3] = [
        |info| info.origin = 2,
        |info| (info.origin, info.capabilities) = (1, info.capabilities | 1 << 16),
        |info| (info.capabilities, info.algorithm) = (rights::SIGN_HMAC, 0x16),
    ];
    for change_it in changes {
        change(change_it);
        assert!(matches!(token.check_root(), Err(TokenError::Exposed(_))));
    }
    change(|info| info.algorithm = HMAC_SHA256);
    token.check_root().unwrap();
    fake.with(|inside| inside.objects.get_mut(&(Kind::Asymmetric, AUDIT)).unwrap().0.origin = 0x12);
    assert!(matches!(token.audit_key(), Err(TokenError::AuditExposed(_))));
}

#[test]
fn a_restarted_device_is_used_on_at_once() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    fake.restart();
    token.mac(b"x").unwrap();
    assert_eq!(memory.alarms(), Vec::<String>::new());
}

#[test]
fn a_removed_device_is_away_and_comes_back() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    fake.with(|inside| inside.gone = true);
    assert!(matches!(token.mac(b"x"), Err(TokenError::Away { .. })));
    fake.with(|inside| inside.gone = false);
    // Left alone for a while, so that a broken device is not asked without end.
    assert!(matches!(token.mac(b"x"), Err(TokenError::Away { .. })));
    token.not_before = None;
    token.mac(b"x").unwrap();
}

#[test]
fn a_device_with_another_serial_is_not_used() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    fake.with(|inside| inside.serial = "0000000009".to_owned());
    fake.restart();
    let error = token.mac(b"x").err().unwrap().to_string();
    assert!(error.contains("0000000009 is there"), "{error}");
    assert!(matches!(open(&fake, &memory, SERVE, Access::Read), Err(TokenError::Absent { .. })));
}

#[test]
fn a_wrong_password_is_one_try() {
    let (fake, memory) = ready();
    let tries = || fake.with(|inside| inside.tries);
    let before = tries();
    let error = open(&fake, &memory, "wrong wrong wrong wrong", Access::Read).err().unwrap();
    assert!(matches!(error, TokenError::PinIncorrect(_)), "{error}");
    assert_eq!(tries(), before + 1);
}

#[test]
fn a_password_that_was_changed_while_serving_is_one_try_for_ever() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    fake.with(|inside| inside.objects.get_mut(&(Kind::Authentication, 2)).unwrap().1.push(0));
    fake.restart();
    let before = fake.with(|inside| inside.tries);
    for _ in 0..5 {
        assert!(matches!(token.mac(b"x"), Err(TokenError::PinIncorrect(_))));
    }
    assert_eq!(fake.with(|inside| inside.tries), before + 1);
}

#[test]
fn the_setup_leaves_two_keys_forced_auditing_and_no_factory_key() {
    let (fake, memory) = (Fake::fresh(), Memory::default());
    prepare(&fake, &memory, SERVE, ADMIN).unwrap();
    let keys = fake.with(|inside| {
        inside
            .objects
            .iter()
            .map(|(at, (info, _))| (*at, info.capabilities, info.delegated))
            .collect::<Vec<_>>()
    });
    let wanted = [
        ((Kind::Authentication, 2), rights::SERVE, 0),
        ((Kind::Authentication, 3), rights::ADMIN, rights::ADMIN_DELEGATED),
    ];
    assert_eq!(keys, wanted);
    assert!(fake.with(|inside| inside.forced));
    assert_eq!(memory.alarms(), Vec::<String>::new());
    let text = memory.text().join("\n");
    assert!(text.contains("command=ff") && text.contains("command=58"), "{text}");
    let mut token = open(&fake, &memory, SERVE, Access::Read).unwrap();
    assert!(matches!(token.check_root(), Err(TokenError::NoRoot)));
    assert!(matches!(token.audit_key(), Err(TokenError::NoAuditKey)));
}

#[test]
fn a_device_that_is_in_use_is_not_set_up() {
    let (fake, memory) = ready();
    let error = prepare(&fake, &memory, SERVE, ADMIN).unwrap_err();
    assert!(matches!(&error, TokenError::Init(why) if why.contains("factory password")), "{error}");

    let fake = Fake::fresh();
    fake.with(|inside| {
        let key = inside.objects[&(Kind::Authentication, 1)].clone();
        inside.objects.insert((Kind::Wrap, 7), key);
    });
    let error = prepare(&fake, &memory, SERVE, ADMIN).unwrap_err();
    assert!(matches!(&error, TokenError::Init(why) if why.contains("Wrap 0x0007")), "{error}");
    assert_eq!(fake.with(|inside| inside.objects.len()), 2);

    let fake = Fake::fresh();
    fake.with(|inside| inside.serial = "0000000009".to_owned());
    let error = prepare(&fake, &memory, SERVE, ADMIN).unwrap_err();
    assert!(matches!(&error, TokenError::Init(why) if why.contains("0000000009")), "{error}");
}

#[test]
fn short_and_equal_passwords_are_refused_before_the_device_is_touched() {
    let (fake, memory) = (Fake::fresh(), Memory::default());
    for (serve, admin) in [("short", ADMIN), (SERVE, "123456789012345"), (SERVE, SERVE)] {
        let error = prepare(&fake, &memory, serve, admin).unwrap_err();
        assert!(matches!(error, TokenError::PinUnusable { .. }), "{error}");
    }
    assert_eq!(fake.with(|inside| inside.tries), 0);
}

#[test]
fn a_sealed_key_that_reads_back_differently_does_not_stay() {
    let (fake, memory) = ready();
    let mut token = open(&fake, &memory, ADMIN, Access::Write).unwrap();
    fake.with(|inside| inside.forgets = true);
    let onion = ONION.parse().unwrap();
    assert!(matches!(token.store(&onion, b"other"), Err(TokenError::StoredWrong)));
    fake.with(|inside| inside.forgets = false);
    assert_eq!(token.sealed().unwrap(), [b"sealed"]);
    token.store(&onion, b"other").unwrap();
    assert_eq!(token.sealed().unwrap().len(), 2);
}

#[test]
fn a_second_audit_key_is_refused() {
    let (fake, memory) = ready();
    let mut token = open(&fake, &memory, ADMIN, Access::Write).unwrap();
    assert!(matches!(token.create_audit_key(), Err(TokenError::AuditKeys(1))));
}
