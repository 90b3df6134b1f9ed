//! The settings of the embedded Postgres, fitted to the machine and to what the server's build offers.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;

const MIB: u64 = 1024 * 1024;

/// What of the machine the settings depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Bytes of memory that this process may use.
    pub(super) memory_bytes: u64,
    /// Bytes free where the cluster lies.
    pub(super) disk_bytes: u64,
    pub(super) cpus: usize,
}

impl Machine {
    pub(super) fn look(pgdata: &Path) -> Self {
        let disk_bytes = nix::sys::statvfs::statvfs(pgdata).map_or(u64::MAX, |stat| {
            stat.blocks_available().saturating_mul(stat.fragment_size())
        });
        Self {
            memory_bytes: memory_bytes(),
            disk_bytes,
            cpus: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The machine's memory, or the control group's limit where that is less.
fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()?;
        Some(kib * 1024)
    });
    let limits = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let group = limits
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(group).min().unwrap_or(1024 * MIB)
}

/// What the server's build offers.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered {
    /// The names of its settings.
    pub(super) names: HashSet<String>,
    /// Whether it was built with LZ4.
    pub(super) lz4: bool,
}

/// Reads the names from the output of `postgres --describe-config`: one setting a line, its name first, tabs between.
pub(super) fn names(describe_config: &str) -> HashSet<String> {
    describe_config
        .lines()
        .filter_map(|line| line.split('\t').next())
        .map(str::to_owned)
        .collect()
}

/// Writes the configuration file.
pub(super) fn render(machine: Machine, offered: &Offered) -> String {
    let mut text = String::from(
        "# Written by coreason at each start. Your own settings: ALTER SYSTEM SET ...\n",
    );
    for (name, value) in choose(machine, offered.lz4) {
        if offered.names.contains(name) {
            let _ = writeln!(text, "{name} = '{value}'");
        }
    }
    text
}

fn choose(machine: Machine, lz4: bool) -> Vec<(&'static str, String)> {
    // The engine and its workers live on the same machine, so Postgres takes an eighth of the memory, not the usual quarter.
    let shared_buffers = (machine.memory_bytes / 8 / MIB).clamp(32, 4096);
    // Far-apart checkpoints write few full-page images; a small disk gets a smaller log.
    let max_wal = (machine.disk_bytes / 8 / MIB).clamp(256, 4096);
    let mut settings = vec![
        ("fsync", "on".to_owned()),
        ("synchronous_commit", "on".to_owned()),
        ("full_page_writes", "on".to_owned()),
        ("max_connections", "100".to_owned()),
        ("shared_buffers", format!("{shared_buffers}MB")),
        ("wal_buffers", "16MB".to_owned()),
        ("max_wal_size", format!("{max_wal}MB")),
        ("min_wal_size", format!("{}MB", max_wal / 4)),
        ("checkpoint_timeout", "15min".to_owned()),
        ("autovacuum_naptime", "15s".to_owned()),
        // Short statements only: compiling them costs more than running them.
        ("jit", "off".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("lc_messages", "C".to_owned()),
        ("log_checkpoints", "off".to_owned()),
        ("logging_collector", "off".to_owned()),
    ];
    if lz4 {
        settings.push(("wal_compression", "lz4".to_owned()));
        settings.push(("default_toast_compression", "lz4".to_owned()));
    }
    if machine.cpus < 4 {
        // Reads are few; on a small machine I/O workers would compete with the engine.
        settings.push(("io_method", "sync".to_owned()));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Machine = Machine {
        memory_bytes: 1024 * MIB,
        disk_bytes: 8 * 1024 * MIB,
        cpus: 2,
    };

    fn offered(names: &[&str], lz4: bool) -> Offered {
        Offered {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            lz4,
        }
    }

    #[test]
    fn setting_that_the_build_lacks_is_left_out() {
        let eighteen = render(SMALL, &offered(&["fsync", "io_method"], false));
        let fifteen = render(SMALL, &offered(&["fsync"], false));

        assert!(
            eighteen.ends_with("fsync = 'on'\nio_method = 'sync'\n"),
            "{eighteen}"
        );
        assert!(fifteen.ends_with("fsync = 'on'\n"), "{fifteen}");
    }

    #[test]
    fn lz4_is_asked_for_only_where_it_was_built_in() {
        let names = ["wal_compression", "default_toast_compression"];

        assert!(render(SMALL, &offered(&names, true)).contains("wal_compression = 'lz4'"));
        assert!(!render(SMALL, &offered(&names, false)).contains("compression"));
    }

    #[test]
    fn sizes_follow_the_machine_within_limits() {
        let names = ["shared_buffers", "max_wal_size"];
        let huge = Machine {
            memory_bytes: u64::MAX,
            disk_bytes: u64::MAX,
            cpus: 64,
        };
        let tiny = Machine {
            memory_bytes: 0,
            disk_bytes: 0,
            cpus: 1,
        };

        assert!(
            render(SMALL, &offered(&names, false))
                .ends_with("shared_buffers = '128MB'\nmax_wal_size = '1024MB'\n")
        );
        assert!(
            render(huge, &offered(&names, false))
                .ends_with("shared_buffers = '4096MB'\nmax_wal_size = '4096MB'\n")
        );
        assert!(
            render(tiny, &offered(&names, false))
                .ends_with("shared_buffers = '32MB'\nmax_wal_size = '256MB'\n")
        );
    }

    #[test]
    fn names_are_read_from_the_description() {
        let text = "fsync\tsighup\tWrite-Ahead Log / Settings\tBOOLEAN\tTRUE\t\t\tForces\t\nwork_mem\tuser\tx\tINTEGER\t4096\n";

        assert_eq!(
            names(text),
            HashSet::from(["fsync".to_owned(), "work_mem".to_owned()])
        );
    }
}
