//! Fuzzes `ledger`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _accepted = onionkeep_fuzz::ledger::ledger(octets);
});
