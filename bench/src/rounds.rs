//! The order of things: each repeat takes every system once, so that they share good and bad moments.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use anyhow::Result;

use crate::{
    Options, limit,
    meter::{Measured, median},
    system::{Case, Ground, Kind, System},
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
    replay: Vec<Measured>,
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
        let plural = if activities == 1 { "y" } else { "ies" };
        let way = self.kind.names()[self.way];
        format!("{way}, {activities} activit{plural}, {clients} in flight")
    }
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
            replay: Vec::new(),
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
                let limits = limit::measure(&ground.url, options.clients).await?;
                self.one_row.push(limits.one_row);
                self.replay.push(limits.replay);
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
        let replay = median(self.replay);
        let limit = replay.map(|measured| measured.rate());
        let mut rows = Vec::new();
        rows.extend(one_row.map(|measured| Row {
            name: "C: a fenced commit of one row, 1 in flight".to_owned(),
            activities: None,
            measured,
            limit: None,
        }));
        rows.extend(replay.map(|measured| Row {
            name: format!("limit: bare replay of the committed arrays, {clients} in flight"),
            activities: Some(1),
            measured,
            limit,
        }));
        let mut results = Results {
            ways: Vec::new(),
            one_row_ms: one_row.map(|measured| measured.figures.p50_ms),
            limit,
        };
        for line in self.planned {
            let ours = Kind::OURS.contains(&line.kind) && line.case.activities == 1;
            let (name, case, way) = (line.name(), line.case, line.kind.names()[line.way]);
            let Some(measured) = median(line.measured) else {
                continue;
            };
            results.ways.push((way, case, measured));
            rows.push(Row {
                name,
                activities: Some(case.activities),
                measured,
                limit: limit.filter(|_| ours),
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
