//! What the fuzz targets run, and what `tests/corpus.rs` replays: one function per parser, and the only list of them.
//!
//! A target must not panic on any octets, and asserts what holds for what the parser accepts: written again it is the same,
//! cut into other pieces it is the same, and what disagrees with itself is refused. Only public functions are called, so
//! what is tested is what runs.

pub mod backup;
pub mod control;
pub mod descriptor;
pub mod documents;
pub mod files;
pub mod ledger;
pub mod paper;
pub mod scratch;
pub mod settings;
pub mod words;

/// Reads the octets and asserts what must hold; says whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target, by the name of its fuzz target and of its folder of seeds.
pub const ALL: [(&str, Target); 25] = [
    ("address", words::address),
    ("cert", words::cert),
    ("wire", words::wire),
    ("texts", words::texts),
    ("config_common", settings::common),
    ("config_signer", settings::signer),
    ("config_publisher", settings::publisher),
    ("token_uri", settings::token_uri),
    ("vault_ask", files::vault_ask),
    ("vault_answer", files::vault_answer),
    ("ledger", ledger::ledger),
    ("backup", backup::backup),
    ("request", paper::request),
    ("bundle", paper::bundle),
    ("sealed_key", files::sealed_key),
    ("key_import", files::key_import),
    ("period_state", files::period_state),
    ("netdoc", documents::netdoc),
    ("consensus", documents::consensus),
    ("microdescs", documents::microdescs),
    ("descriptor_outer", descriptor::outer),
    ("descriptor_middle", descriptor::middle),
    ("descriptor_inner", descriptor::inner),
    ("control_session", control::session),
    ("control_network", control::network),
];
