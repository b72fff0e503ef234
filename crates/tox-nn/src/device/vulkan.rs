//! Adapters of the Vulkan drivers.
//!
//! Kernels go to them as WGSL, which wgpu turns into SPIR-V: CubeCL's own SPIR-V is invalid where a driver
//! lacks `VK_KHR_workgroup_memory_explicit_layout` and then ends the process, and two compilers would be two
//! sets of last digits.

use super::{Adapter, DeviceError, Kind, Opened, check};
use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use cubecl_environment::future::block_on;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use wgpu::{AdapterInfo, DeviceType};

/// What kernels are written in.
const COMPILER: &str = "WGSL";

/// Storage buffers that a kernel must be able to bind: as many as the gradient of a batch norm.
const BUFFERS: u32 = 9;

/// Units that must be able to work together.
const UNITS: u32 = crate::gpu::UNITS as u32;

/// The instance, and its adapters in the order in which they are counted. The loader is asked once: it does
/// not bear instances that come and go on several threads.
fn all() -> &'static (wgpu::Instance, Vec<wgpu::Adapter>) {
    static ALL: OnceLock<(wgpu::Instance, Vec<wgpu::Adapter>)> = OnceLock::new();
    ALL.get_or_init(|| {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::VULKAN,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let mut all = block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        all.sort_by_cached_key(|adapter| {
            let info = adapter.get_info();
            (kind(&info), info.device_pci_bus_id, info.name)
        });
        (instance, all)
    })
}

fn kind(info: &AdapterInfo) -> Kind {
    match info.device_type {
        DeviceType::DiscreteGpu => Kind::Discrete,
        DeviceType::IntegratedGpu => Kind::Integrated,
        DeviceType::VirtualGpu => Kind::Virtual,
        DeviceType::Other => Kind::Other,
        DeviceType::Cpu => Kind::Software,
    }
}

fn adapter(index: usize, info: &AdapterInfo) -> Adapter {
    let driver = [info.driver.as_str(), info.driver_info.as_str()];
    let driver: Vec<&str> = driver.into_iter().filter(|word| !word.is_empty()).collect();
    Adapter {
        device: format!("vulkan:{index}"),
        name: info.name.clone(),
        kind: kind(info),
        driver: driver.join(" "),
        compiler: COMPILER.to_owned(),
    }
}

/// All of them.
pub fn adapters() -> Vec<Adapter> {
    let all = all().1.iter().enumerate();
    all.map(|(i, found)| adapter(i, &found.get_info()))
        .collect()
}

/// The adapter that is called `name`.
pub fn open(name: &str, index: usize) -> Result<Opened, DeviceError> {
    static OPEN: Mutex<BTreeMap<usize, Opened>> = Mutex::new(BTreeMap::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = open.get(&index) {
        return Ok(opened.clone());
    }
    let found = all().1.get(index).ok_or_else(|| DeviceError::Absent {
        name: name.to_owned(),
        found: adapters(),
    })?;
    let adapter = adapter(index, &found.get_info());
    let device = device(found).map_err(|reason| DeviceError::Refused {
        name: name.to_owned(),
        adapter: adapter.to_string(),
        reason,
    })?;
    if let Some(what) = check::wrong(&device) {
        return Err(DeviceError::Wrong {
            name: name.to_owned(),
            adapter: adapter.to_string(),
            what,
        });
    }
    let opened = Opened {
        loses_nan: check::lost_nan(&device),
        device,
        adapter: Some(adapter),
    };
    open.insert(index, opened.clone());
    Ok(opened)
}

/// Opens an adapter with all that its driver has, but for what is experimental.
fn device(adapter: &wgpu::Adapter) -> Result<Device, String> {
    let limits = adapter.limits();
    if limits.max_storage_buffers_per_shader_stage < BUFFERS {
        return Err(format!(
            "its driver lets a kernel see {} buffers, and {BUFFERS} are needed; a newer driver may help",
            limits.max_storage_buffers_per_shader_stage
        ));
    }
    if limits.max_compute_invocations_per_workgroup < UNITS {
        return Err(format!(
            "its driver lets {} units work together, and {UNITS} are needed",
            limits.max_compute_invocations_per_workgroup
        ));
    }
    let features = adapter.features()
        - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS
        - wgpu::Features::all_experimental_mask();
    let asked = wgpu::DeviceDescriptor {
        label: None,
        required_features: features,
        required_limits: limits,
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        trace: wgpu::Trace::Off,
        experimental_features: wgpu::ExperimentalFeatures::disabled(),
    };
    let (device, queue) = block_on(adapter.request_device(&asked)).map_err(|e| e.to_string())?;
    let setup = WgpuSetup {
        instance: all().0.clone(),
        adapter: adapter.clone(),
        device,
        queue,
        backend: wgpu::Backend::Vulkan,
    };
    let options = Device::wgpu_options().setup(setup);
    options.init().map_err(|e| e.to_string())
}
