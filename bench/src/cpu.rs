//! What processes took of the processors.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::{SysconfVar, sysconf};

/// What a process and the children that it waited for have taken so far.
pub(crate) fn of_process(pid: u32) -> Result<Duration> {
    let stat = Stat::read(pid)?;
    Ok(stat.own + stat.reaped)
}

/// What a process, its children that live and those it waited for have taken so far.
pub(crate) fn of_family(pid: u32) -> Result<Duration> {
    let mut sum = of_process(pid)?;
    for entry in std::fs::read_dir("/proc")? {
        let Some(child) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // It may have ended meanwhile.
        if let Ok(stat) = Stat::read(child)
            && stat.parent == pid
        {
            sum += stat.own;
        }
    }
    Ok(sum)
}

struct Stat {
    parent: u32,
    own: Duration,
    reaped: Duration,
}

impl Stat {
    /// Reads `/proc/PID/stat`; the fields stand behind the name, which may hold anything, in brackets.
    fn read(pid: u32) -> Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, fields) = text.rsplit_once(") ").context("a name in brackets")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let field = |n: usize| -> Result<u64> {
            // Numbered from 1 in proc(5), and the state is 3.
            Ok(fields.get(n - 3).context("a field")?.parse()?)
        };
        let per_second = sysconf(SysconfVar::CLK_TCK)?
            .context("clock ticks")?
            .cast_unsigned();
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / per_second);
        Ok(Self {
            parent: u32::try_from(field(4)?)?,
            own: time(field(14)? + field(15)?),
            reaped: time(field(16)? + field(17)?),
        })
    }
}
