//! Tables of sub-networks: each trained and attacked. What RC-NAS can gain on them, and how far tasks
//! agree, which is what meta-training lives on.

mod effects;
mod figures;
mod findings;
mod gather;
mod headline;
mod page;
mod ranks;
mod tables;
#[cfg(test)]
mod tests;

use crate::reporter::reporter;
use crate::subnets::outcome::TableOutcome;
use gather::csv;
use headline::headline;
use page::Report;
use tox_rcnas::learner::TableConfig;

reporter! {
    SubNetworksReport, "sub-networks", TableConfig, TableOutcome;
    foreign: |spec| spec.threat.data.is_some() || !spec.defence.is_none();
    wide: csv;
    headline: headline;
}
