//! The neutral form means the same to both oracles: Trio and asyncio agree with each other, but for the named differences.

use taskgroup_proof::campaign::{Campaign, Subject};
use taskgroup_proof::oracle::Oracle;

#[test]
fn trio_and_asyncio_agree() {
    let campaign = Campaign {
        against: Oracle::Trio,
        subject: Subject::Oracle(Oracle::Asyncio),
        programs: 300,
        seed: 1,
        jobs: 2,
        shrink: true,
    };
    let report = campaign.run().expect("both oracles can be had");
    assert!(report.difference.is_none(), "{report}");
    assert_eq!(report.programs, 300);
}
