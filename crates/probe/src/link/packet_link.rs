//! A link of IP packets between two namespaces.

use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use qoslab_core::network::{LinkKeys, LinkSettings, LinkState};
use tappers::{Interface, Tun};

use super::carrier::{CarriedPackets, Carrier};
use super::namespace::Namespace;
use crate::Clock;

/// Where the client is.
pub const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// Where the broker is.
pub const BROKER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// The name of the device at either end.
const DEVICE: &str = "tun0";

/// Link between the namespaces of a client and a broker.
#[derive(Debug)]
pub struct PacketLink {
    /// Where the client's program belongs.
    pub client: Namespace,
    /// Where the broker's programs belong.
    pub broker: Namespace,
    stop: Arc<AtomicBool>,
    carrier: Option<JoinHandle<io::Result<CarriedPackets>>>,
}

impl PacketLink {
    /// Puts up a link that does to packets what `settings` say; the draws are of `keys`. The
    /// kernel's TCP has `congestion`, one of `net.ipv4.tcp_available_congestion_control`.
    ///
    /// # Errors
    /// If there are no namespaces or devices to be had, or they cannot be set up.
    pub fn new(
        settings: Arc<LinkSettings>,
        keys: LinkKeys,
        congestion: &'static str,
    ) -> io::Result<Self> {
        let (client, broker) = (Namespace::new()?, Namespace::new()?);
        let up = client.run(move || open_end(CLIENT_ADDRESS, BROKER_ADDRESS, congestion))?;
        let down = broker.run(move || open_end(BROKER_ADDRESS, CLIENT_ADDRESS, congestion))?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut link = LinkState::new(settings, keys);
        let clock = Clock::start();
        link.start_bursts_and_outages(clock.now());
        let carrier = Carrier::new(up, down, link, clock, Arc::clone(&stop));
        let thread = thread::Builder::new().name("carrier".to_owned());
        let carrier = Some(thread.spawn(move || carrier.run())?);
        Ok(Self { client, broker, stop, carrier })
    }

    /// Takes the link down; returns what it carried.
    ///
    /// # Errors
    /// If a device failed: from then on nothing was carried.
    #[expect(clippy::missing_panics_doc, reason = "only if the carrier has a bug")]
    pub fn close(mut self) -> io::Result<CarriedPackets> {
        self.stop.store(true, Ordering::SeqCst);
        let carrier = self.carrier.take().expect("the thread is joined only here and in drop");
        carrier.join().expect("the carrier does not panic")
    }
}

impl Drop for PacketLink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Whoever wanted to know how it went has called `close`.
        let _ = self.carrier.take().map(JoinHandle::join);
    }
}

/// Sets up the namespace of the calling thread, and returns its end of the link.
fn open_end(own: Ipv4Addr, peer: Ipv4Addr, congestion: &str) -> io::Result<Tun> {
    // With IPv6 the kernel sends packets of its own, and they take draws.
    if fs::exists("/proc/sys/net/ipv6")? {
        set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    }
    // What it learnt from one connection would change the next.
    set_sysctl("ipv4/tcp_no_metrics_save", "1")?;
    let mut device = Tun::new_named(Interface::new(DEVICE)?)?;
    device.set_nonblocking(true)?;
    // The congestion control of a namespace may only be one of those open to all, and which are is
    // a setting of the whole machine; that of a route may be any.
    run_ip(&format!(
        "link set lo up\n\
         address add {own} dev {DEVICE}\n\
         link set {DEVICE} mtu 1500 up\n\
         route add {peer} dev {DEVICE} congctl {congestion}\n"
    ))?;
    Ok(device)
}

/// Writes a setting of the calling thread's namespace.
fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    fs::write(format!("/proc/sys/net/{name}"), value)
        .map_err(|error| io::Error::new(error.kind(), format!("sysctl {name} = {value}: {error}")))
}

/// Runs commands of ip(8) in the calling thread's namespace.
fn run_ip(commands: &str) -> io::Result<()> {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    ip.stdin.take().expect("its input is piped").write_all(commands.as_bytes())?;
    let status = ip.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("ip -batch: {status}"))) }
}
