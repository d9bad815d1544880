//! The device's own log: every entry is on record before it is freed, none twice, and what is missing is an alarm.

use super::*;

#[test]
fn every_hmac_is_on_record_and_the_log_never_fills() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    let count = |memory: &Memory| {
        memory.text().iter().filter(|line| line.contains("command=53 ") && line.contains("key=0002")).count()
    };
    for _ in 0..200 {
        token.mac(b"x").unwrap();
        assert!(fake.with(|inside| inside.log.len()) < 40);
    }
    token.empty().unwrap();
    // One more: the one at the start that shows that they are logged.
    assert_eq!(count(&memory), 201);
    assert_eq!(memory.alarms(), Vec::<String>::new());
}

#[test]
fn a_full_log_is_emptied_and_the_call_goes_on() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    fake.fill();
    token.mac(b"x").unwrap();
    assert!(memory.text().len() >= 62);
    fake.fill();
    drop(serving(&fake, &memory));
    assert_eq!(memory.alarms(), ["unlogged boots=0 logins=1"]);
}

#[test]
fn nothing_is_freed_on_the_device_before_it_is_on_record() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    memory.full(true);
    let (mut made, mut away) = (0, None);
    for _ in 0..80 {
        match token.mac(b"x") {
            Ok(_) => made += 1,
            Err(error) => away = Some(error),
        }
    }
    assert!(matches!(away, Some(TokenError::Away { .. })), "{away:?}");
    assert!(made < 62, "{made} HMACs without a record");
    let kept = fake.with(|inside| inside.log.iter().filter(|entry| entry.command == 0x53).count());
    assert_eq!(kept, made);
    memory.full(false);
    token.not_before = None;
    token.mac(b"x").unwrap();
    // Two more: those at the start and at the return that show that HMACs are logged.
    let recorded = memory.text().iter().filter(|line| line.contains("result=d3")).count();
    assert_eq!(recorded, made + 2);
    assert!(memory.alarms().iter().all(|alarm| alarm.starts_with("unlogged")), "{:?}", memory.alarms());
}

#[test]
fn a_crash_between_record_and_freeing_records_nothing_twice() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    token.mac(b"x").unwrap();
    let before = fake.with(|inside| inside.log.clone());
    token.empty().unwrap();
    fake.with(|inside| {
        let after = std::mem::take(&mut inside.log);
        inside.log = before.into_iter().chain(after).collect();
    });
    drop(serving(&fake, &memory));
    let text = memory.text();
    let unique: std::collections::BTreeSet<_> = text.iter().collect();
    assert_eq!(unique.len(), text.len());
    assert_eq!(memory.alarms(), Vec::<String>::new());
}

#[test]
fn entries_that_somebody_else_freed_are_an_alarm() {
    let (fake, memory) = ready();
    let mut token = serving(&fake, &memory);
    token.mac(b"x").unwrap();
    fake.with(|inside| inside.log.clear());
    token.mac(b"x").unwrap();
    token.empty().unwrap();
    let alarms = memory.alarms();
    assert!(matches!(alarms.as_slice(), [gap] if gap.starts_with("gap last=")), "{alarms:?}");
    token.mac(b"x").unwrap();
    token.empty().unwrap();
    assert_eq!(memory.alarms().len(), 1, "told once");
}

#[test]
fn starts_that_the_device_could_not_log_are_an_alarm_once() {
    let (fake, memory) = ready();
    fake.fill();
    fake.restart();
    let mut token = serving(&fake, &memory);
    assert_eq!(memory.alarms(), ["unlogged boots=1 logins=1"]);
    token.empty().unwrap();
    assert_eq!(memory.alarms().len(), 1);
}
