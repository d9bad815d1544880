//! Fuzzes `vault_ask`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _accepted = onionkeep_fuzz::files::vault_ask(octets);
});
