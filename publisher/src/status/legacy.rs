//! The fields of Onionbalance's status document, spelled and formatted as there, so that a script that reads them goes on working.

use super::ServiceStatus;
use crate::netdoc::date::Iso;
use onionkeep_common::UnixTime;
use serde::{Deserialize, Serialize};

/// What Onionbalance says about a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Legacy {
    /// Its address.
    pub onion_address: String,
    /// When the first descriptor was uploaded last, `YYYY-MM-DD HH:MM:SS` in UTC.
    pub publish_attempt_first_descriptor: Option<String>,
    /// The same of the second descriptor.
    pub publish_attempt_second_descriptor: Option<String>,
    /// The backends.
    pub instances: Vec<Instance>,
}

/// What Onionbalance says about a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Instance {
    /// Its descriptor came.
    Known {
        /// Its address.
        onion_address: String,
        /// When its introduction points changed last.
        intro_set_modified: String,
        /// How many they are.
        intro_points_num: usize,
        /// When a descriptor of it came last.
        descriptor_received: String,
    },
    /// None came yet.
    Nothing {
        /// Its address.
        onion_address: String,
        /// Always `null`.
        received: (),
    },
}

impl Legacy {
    /// The same facts in Onionbalance's words.
    #[must_use]
    pub fn of(service: &ServiceStatus) -> Self {
        let uploaded = |role: &str| {
            let desc = service.descriptors.iter().find(|desc| desc.role == role)?;
            desc.uploaded.map(stamp)
        };
        let instances = service.backends.iter().map(|backend| {
            let onion_address = backend.address.clone();
            match (backend.points_changed, backend.fetched) {
                (Some(changed), Some(fetched)) => Instance::Known {
                    onion_address,
                    intro_set_modified: stamp(changed),
                    intro_points_num: backend.points,
                    descriptor_received: stamp(fetched),
                },
                (None, _) | (_, None) => Instance::Nothing { onion_address, received: () },
            }
        });
        Self {
            onion_address: service.address.clone(),
            publish_attempt_first_descriptor: uploaded("first"),
            publish_attempt_second_descriptor: uploaded("second"),
            instances: instances.collect(),
        }
    }
}

/// A time as Onionbalance writes it.
fn stamp(seconds: u64) -> String {
    Iso(UnixTime(seconds)).to_string().replace('T', " ").replace('Z', "")
}
