//! The order of things: each repeat takes every system once, so that they share good and bad moments.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, time::Duration};

use anyhow::Result;

use crate::{
    kind::Kind,
    limit,
    meter::{Measured, median},
    options::Options,
    system::{Case, Ground, System},
    table::{self, Row},
    targets::Results,
};

/// How long a system is loaded before anything counts: plans, caches and files are warm then.
const WARM_UP: Duration = Duration::from_secs(2);

/// What is measured, and what was so far.
pub(crate) struct Rounds {
    planned: Vec<Planned>,
    /// Those that could not be measured, and why.
    absent: Vec<(Kind, String)>,
    one_row: Vec<Measured>,
    /// What a bare script reaches, by the activities of a workflow.
    replays: BTreeMap<u32, Vec<Measured>>,
}

/// One line of the table.
struct Planned {
    kind: Kind,
    /// Which of its ways.
    way: usize,
    case: Case,
    measured: Vec<Measured>,
}

impl Planned {
    fn name(&self) -> String {
        let Case {
            activities,
            clients,
        } = self.case;
        let way = self.kind.names()[self.way];
        format!("{way}, {}, {clients} in flight", of(activities))
    }
}

/// Says how many activities a workflow has.
fn of(activities: u32) -> String {
    let plural = if activities == 1 { "y" } else { "ies" };
    format!("{activities} activit{plural}")
}

impl Rounds {
    pub(crate) fn plan(options: &Options) -> Self {
        let peers = options.peers.then_some(Kind::PEERS);
        let mut planned = Vec::new();
        for kind in Kind::OURS.into_iter().chain(peers.into_iter().flatten()) {
            for way in 0..kind.names().len() {
                for activities in [1, 10] {
                    for clients in [1, options.clients] {
                        planned.push(Planned {
                            kind,
                            way,
                            case: Case {
                                activities,
                                clients,
                            },
                            measured: Vec::new(),
                        });
                    }
                }
            }
        }
        let only = &options.only;
        planned.retain(|line| {
            let name = line.name();
            only.is_empty() || only.iter().any(|part| name.contains(part))
        });
        Self {
            planned,
            absent: Vec::new(),
            one_row: Vec::new(),
            replays: BTreeMap::new(),
        }
    }

    /// Measures everything once. A peer that fails is left out from then on; ours may not fail.
    pub(crate) async fn run(&mut self, ground: &Ground, options: &Options) -> Result<()> {
        for kind in Kind::OURS.into_iter().chain(Kind::PEERS) {
            if !self.planned.iter().any(|line| line.kind == kind) {
                continue;
            }
            writeln!(std::io::stderr(), "{} ...", kind.names().join(", "))?;
            let done = Box::pin(self.take(kind, ground, options)).await;
            match done {
                Err(error) if Kind::PEERS.contains(&kind) => {
                    self.absent.push((kind, format!("{error:#}")));
                    self.planned.retain(|line| line.kind != kind);
                }
                done => done?,
            }
            if kind == Kind::InProcess {
                let lines = self.planned.iter().filter(|line| line.kind == kind);
                let mut activities: Vec<u32> = lines.map(|line| line.case.activities).collect();
                activities.sort_unstable();
                activities.dedup();
                let (url, clients) = (&ground.url, options.clients);
                let limits = limit::measure(url, clients, &activities, &ground.meter).await?;
                self.one_row.push(limits.one_row);
                for (activities, replay) in limits.replays {
                    self.replays.entry(activities).or_default().push(replay);
                }
            }
        }
        Ok(())
    }

    /// Starts a system, measures its lines and stops it.
    async fn take(&mut self, kind: Kind, ground: &Ground, options: &Options) -> Result<()> {
        let mut system = kind.start(ground).await?;
        let time = Duration::from_secs(options.seconds);
        let mut warm = None;
        for line in self.planned.iter_mut().filter(|line| line.kind == kind) {
            if warm.replace(line.way) != Some(line.way) {
                warm_up(&mut system, line.way, ground, options).await?;
            }
            let measured = system
                .measure(line.way, line.case, time, &ground.meter)
                .await?;
            line.measured.push(measured);
        }
        system.stop().await
    }

    /// Returns the tables.
    pub(crate) fn report(self, clients: usize) -> Result<String> {
        let one_row = median(self.one_row);
        let replays: BTreeMap<u32, Measured> = self
            .replays
            .into_iter()
            .filter_map(|(activities, replays)| Some((activities, median(replays)?)))
            .collect();
        let limit = |activities: u32| replays.get(&activities).map(Measured::rate);
        let mut rows = Vec::new();
        rows.extend(one_row.map(|measured| Row {
            name: "C: a fenced commit of one row, 1 in flight".to_owned(),
            activities: None,
            measured,
            limit: None,
        }));
        rows.extend(replays.iter().map(|(activities, measured)| Row {
            name: format!(
                "limit: bare replay of the committed arrays, {}, {clients} in flight",
                of(*activities)
            ),
            activities: Some(*activities),
            measured: *measured,
            limit: limit(*activities),
        }));
        let mut results = Results {
            ways: Vec::new(),
            one_row_ms: one_row.map(|measured| measured.figures.p50_ms),
            limit: limit(1),
        };
        for line in self.planned {
            let ours = Kind::OURS.contains(&line.kind);
            let (name, case, way) = (line.name(), line.case, line.kind.names()[line.way]);
            let Some(measured) = median(line.measured) else {
                continue;
            };
            results.ways.push((way, case, measured));
            rows.push(Row {
                name,
                activities: Some(case.activities),
                measured,
                limit: limit(case.activities).filter(|_| ours),
            });
        }
        let mut report = String::new();
        table::rows(&mut report, &rows)?;
        table::targets(&mut report, &results.verdicts(clients))?;
        for (kind, why) in self.absent {
            writeln!(report, "\n{} not measured: {why}", kind.names()[0])?;
        }
        Ok(report)
    }
}

async fn warm_up(
    system: &mut System,
    way: usize,
    ground: &Ground,
    options: &Options,
) -> Result<()> {
    let case = Case {
        activities: 1,
        clients: options.clients,
    };
    system.measure(way, case, WARM_UP, &ground.meter).await?;
    Ok(())
}
