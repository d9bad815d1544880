//! Fuzzes `key_import`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _accepted = onionkeep_fuzz::files::key_import(octets);
});
