//! The chain of digests: entries of a real device that Yubico's documentation shows, and every way to lose one.

use super::*;

/// Entries 46 to 51 as Yubico's page on GET LOG ENTRIES prints them.
pub(crate) fn genuine() -> Vec<Entry> {
    let rows = [
        "46 4b 234 0001 cf94 997e cb 335725 415f51f1f035a1b713e730e4464e4033",
        "47 4c 77 0001 aff7 ffff cc 351714 5496a60d478c2b9c801d8d32ca66b554",
        "48 00 0 ffff 0000 0000 00 0 14ac7747ba9bbb243cfc70befeb5349b",
        "49 03 10 ffff 0001 ffff 83 139 b20a8f25c025e693a8e869b433294a20",
        "50 04 17 ffff 0001 ffff 84 139 ebfae425c319ac7a0afbb8b92597de7c",
        "51 67 2 0001 ffff ffff e7 697 2e395d1b706668737e1d2215813db47e",
    ];
    rows.iter().map(|row| parse(&row.split(' ').collect::<Vec<_>>())).collect()
}

fn parse(words: &[&str]) -> Entry {
    let hex = |index: usize| u16::from_str_radix(words[index], 16).unwrap();
    let digest = data_encoding::HEXLOWER.decode(words[8].as_bytes()).unwrap();
    Entry {
        number: words[0].parse().unwrap(),
        command: hex(1).try_into().unwrap(),
        length: words[2].parse().unwrap(),
        key: hex(3),
        target: hex(4),
        second: hex(5),
        result: hex(6).try_into().unwrap(),
        tick: words[7].parse().unwrap(),
        digest: digest.try_into().unwrap(),
    }
}

/// An entry that follows `previous`.
pub(crate) fn entry(number: u16, command: u8, previous: &[u8; 16]) -> Entry {
    let (length, key, target, second, result) = (34, 2, 0x6b01, 0xffff, command | 0x80);
    let mut entry = Entry { number, command, length, key, target, second, result, tick: 5, digest: [0; 16] };
    entry.digest = entry.digest_after(previous);
    entry
}

fn page(entries: &[Entry]) -> Page {
    Page { entries: entries.to_vec(), ..Page::default() }
}

fn alarms(records: &[Record]) -> Vec<String> {
    records.iter().filter(|record| record.is_alarm()).map(ToString::to_string).collect()
}

#[test]
fn a_real_devices_entries_fit_each_other() {
    let entries = genuine();
    for pair in entries.windows(2) {
        assert_eq!(pair[1].digest_after(&pair[0].digest), pair[1].digest);
    }
    let records = judge(Some(entries[0].link()), &page(&entries[1..]));
    assert_eq!(alarms(&records), Vec::<String>::new());
    assert_eq!(records.len(), 5);
}

#[test]
fn entries_on_record_are_not_recorded_twice() {
    let entries = genuine();
    let records = judge(Some(entries[3].link()), &page(&entries));
    assert_eq!(records, [Record::Entry(entries[4].clone()), Record::Entry(entries[5].clone())]);
    assert_eq!(judge(Some(entries[5].link()), &page(&entries)), []);
    assert_eq!(judge(Some(entries[5].link()), &page(&[])), []);
}

#[test]
fn every_lost_entry_is_an_alarm() {
    let entries = genuine();
    let records = judge(Some(entries[0].link()), &page(&entries[2..]));
    assert_eq!(alarms(&records), ["gap last=46 next=48"]);
    for lost in 2..5 {
        let mut rest = entries.clone();
        let _lost = rest.remove(lost);
        let records = judge(Some(entries[0].link()), &page(&rest));
        assert_eq!(alarms(&records), [format!("broken number={}", 47 + lost)]);
        assert_eq!(records.len(), 5, "the entries themselves are on record");
    }
}

#[test]
fn every_changed_field_is_an_alarm() {
    let entries = genuine();
    let changes: [fn(&mut Entry); 9] = [
        |entry| entry.number ^= 1,
        |entry| entry.command ^= 1,
        |entry| entry.length ^= 1,
        |entry| entry.key ^= 1,
        |entry| entry.target ^= 1,
        |entry| entry.second ^= 1,
        |entry| entry.result ^= 1,
        |entry| entry.tick ^= 1,
        |entry| entry.digest[15] ^= 1,
    ];
    for change in changes {
        let mut changed = entries.clone();
        change(&mut changed[3]);
        assert!(!alarms(&judge(Some(entries[0].link()), &page(&changed))).is_empty());
    }
}

#[test]
fn a_log_without_record_starts_at_its_first_entry_or_with_an_alarm() {
    let mut first = entry(1, GENESIS, &[0; 16]);
    first.digest = [0x33; 16];
    let second = entry(2, 0, &first.digest);
    assert_eq!(alarms(&judge(None, &page(&[first, second]))), Vec::<String>::new());
    assert_eq!(alarms(&judge(None, &page(&genuine()))), ["gap last=none next=46"]);
}

#[test]
fn a_log_that_starts_anew_is_an_alarm() {
    let mut first = entry(1, GENESIS, &[0; 16]);
    first.digest = [0x33; 16];
    let records = judge(Some(genuine()[5].link()), &page(&[first]));
    assert_eq!(alarms(&records), ["gap last=51 next=1"]);
}

#[test]
fn an_error_that_the_library_writes_in_its_own_form_is_read_as_the_device_logged_it() {
    let before = [7; 16];
    let mut denied = entry(9, 0x42, &before);
    denied.result = 0x09;
    denied.digest = denied.digest_after(&before);
    let read = Entry { result: ERROR_BASE - 0x09, ..denied.clone() };
    let records = judge(Some(Link { number: 8, digest: before }), &page(&[read]));
    assert_eq!(records, [Record::Entry(denied)]);
}
