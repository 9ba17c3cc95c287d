//! One pipeline into another: everything that can fail happens first, so that all of a change is made, or nothing of it.
//!
//! ```text
//! check ─► make transforms and sinks, open buffers ─► open added sources ─► replace changed sources ─► switch over
//!          (nothing runs yet: a failure leaves no trace)                    (undone where one fails)   (cannot fail)
//! ```

use super::diff::{Change, Step, diff, fixed, fixed_parts};
use super::error::{ReloadError, StartError};
use super::part::{RunningSink, RunningSource, SOURCE_STOP_LIMIT};
use super::supervisor::Supervisor;
use crate::config::{Pipeline, SinkPlan, SourcePlan, TransformPlan};
use crate::intake::{Routes, TransformNode};
use crate::sink_input::{SinkInput, SinkSettings};
use crate::stop::StopHandle;
use crate::telemetry::SinkState;
use pipeline_core::{Kind, Sink, SinkContext, Source, SourceContext, Transform, TransformContext};
use std::sync::{Arc, PoisonError};
use tokio::time::timeout;

/// Everything new that a change needs, made but not running.
#[derive(Default)]
struct Prepared {
    transforms: Vec<Arc<TransformNode>>,
    /// New sinks for running inputs.
    changed: Vec<(SinkPlan, Arc<dyn Sink>)>,
    added: Vec<(SinkPlan, Arc<SinkInput>, StopHandle)>,
    sources: Vec<(SourcePlan, Box<dyn Source>)>,
}

impl Prepared {
    /// Lets go of everything, so that the next attempt finds it free: a disk buffer is locked until its writer has ended.
    async fn undo(self) {
        drop(self.sources);
        for (_, input, _) in self.added {
            input.close().await;
        }
    }
}

impl Supervisor {
    /// Changes what runs into this pipeline, and says what changed.
    pub(super) async fn apply(&mut self, new: Pipeline) -> Result<Vec<Change>, ReloadError> {
        // What has ended by itself needs no change.
        self.sources.retain(|source| !source.has_ended());
        let changes = diff(&self.pipeline, &new);
        self.check(&new, &changes)?;
        let mut prepared = Prepared::default();
        if let Err(error) = self.make(&new, &changes, &mut prepared).await {
            prepared.undo().await;
            return Err(error);
        }
        self.switch_over(new, &changes, prepared);
        Ok(changes)
    }

    /// Makes and opens everything that is new.
    async fn make(
        &mut self,
        new: &Pipeline,
        changes: &[Change],
        prepared: &mut Prepared,
    ) -> Result<(), ReloadError> {
        self.prepare(new, changes, prepared).await?;
        self.replace_sources(new, changes, prepared).await
    }

    /// Refuses what cannot change while the pipeline runs.
    fn check(&self, new: &Pipeline, changes: &[Change]) -> Result<(), ReloadError> {
        let old = &self.pipeline;
        let fixed_parts = fixed_parts(old, new);
        if !fixed_parts.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed_parts));
        }
        for sink in &new.sinks {
            if self.draining_names.contains(&sink.name) {
                return Err(ReloadError::StillDraining(sink.name.clone()));
            }
        }
        for change in of(changes, Kind::Sink, |step| {
            matches!(step, Step::Change { .. })
        }) {
            let olds = old.sinks.iter().find(|sink| sink.name == change.name);
            let news = new.sinks.iter().find(|sink| sink.name == change.name);
            let options = olds.zip(news).map(|(old, new)| fixed(old, new));
            if let Some(options) = options.filter(|options| !options.is_empty()) {
                let sink = change.name.clone();
                return Err(ReloadError::StoredEvents { sink, options });
            }
        }
        Ok(())
    }

    /// Makes everything that is new, but for changed sources.
    async fn prepare(
        &mut self,
        new: &Pipeline,
        changes: &[Change],
        prepared: &mut Prepared,
    ) -> Result<(), ReloadError> {
        let is_new = |kind, name: &str| {
            of(changes, kind, |step| *step != Step::Remove).any(|change| change.name == name)
        };
        for plan in &new.transforms {
            let running = self.transforms.iter().find(|node| node.name == plan.name);
            let node = match running.filter(|_| !is_new(Kind::Transform, &plan.name)) {
                Some(running) => Arc::clone(running),
                None => self.make_transform(plan, new).await?,
            };
            prepared.transforms.push(node);
        }
        for plan in new
            .sinks
            .iter()
            .filter(|plan| is_new(Kind::Sink, &plan.name))
        {
            let sink = self.make_sink(plan).await?;
            if let Some(running) = self.sinks.iter().find(|sink| sink.plan.name == plan.name) {
                check_partition(running, &*sink)?;
                prepared.changed.push((plan.clone(), sink));
                continue;
            }
            let (stop, signal) = self.signal.part(new.shutdown_limit);
            let (options, failures) = (&self.options, &self.failures);
            let input =
                RunningSink::prepare(plan, sink, &new.data_dir, options, failures, signal).await;
            let input = input?;
            prepared.added.push((plan.clone(), input, stop));
        }
        for change in of(changes, Kind::Source, |step| *step == Step::Add) {
            if let Some(plan) = new.sources.iter().find(|plan| plan.name == change.name) {
                let source = self.open(plan, new).await?;
                prepared.sources.push((plan.clone(), source));
            }
        }
        Ok(())
    }

    async fn make_transform(
        &self,
        plan: &TransformPlan,
        new: &Pipeline,
    ) -> Result<Arc<TransformNode>, StartError> {
        let mut cx = TransformContext::new(plan.name.clone(), new.data_dir.clone());
        cx.clock = Arc::clone(&self.options.clock);
        let made = plan.config.build(cx).await;
        let transform: Arc<dyn Transform> = made
            .map_err(|error| StartError::Build {
                kind: Kind::Transform,
                name: plan.name.clone(),
                error,
            })?
            .into();
        let name = plan.name.clone();
        Ok(Arc::new(TransformNode { name, transform }))
    }

    async fn make_sink(&self, plan: &SinkPlan) -> Result<Arc<dyn Sink>, StartError> {
        let clock = Arc::clone(&self.options.clock);
        plan.make(SinkContext::new(plan.name.clone()).with_clock(clock))
            .await
    }

    async fn open(
        &self,
        plan: &SourcePlan,
        pipeline: &Pipeline,
    ) -> Result<Box<dyn Source>, StartError> {
        let mut cx = SourceContext::new(plan.name.clone(), pipeline.data_dir.clone());
        cx.clock = Arc::clone(&self.options.clock);
        cx.room_limit = self.options.room_limit;
        plan.config
            .open(cx)
            .await
            .map_err(|error| StartError::Build {
                kind: Kind::Source,
                name: plan.name.clone(),
                error,
            })
    }

    /// Stops every source that has changed and opens the new one, which may need the same port or checkpoint. Where that
    /// fails, the old ones are opened again.
    async fn replace_sources(
        &mut self,
        new: &Pipeline,
        changes: &[Change],
        prepared: &mut Prepared,
    ) -> Result<(), ReloadError> {
        let replaced = of(changes, Kind::Source, |step| {
            matches!(step, Step::Change { .. })
        });
        let mut stopped: Vec<SourcePlan> = Vec::new();
        let opened = prepared.sources.len();
        for change in replaced {
            let Some(plan) = new.sources.iter().find(|plan| plan.name == change.name) else {
                continue;
            };
            stopped.extend(self.stop_source(&change.name).await);
            self.addresses().remove(&change.name);
            match self.open(plan, new).await {
                Ok(source) => prepared.sources.push((plan.clone(), source)),
                Err(error) => {
                    // Lets go of what the new ones hold.
                    prepared.sources.truncate(opened);
                    self.restart(stopped).await;
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Stops one source and waits until it has ended; its plan, where it had not ended by itself.
    ///
    /// A source that follows what it has sent may wait for a destination that is away. It is told to quit then, which lets go
    /// of its port or checkpoint; what is not acknowledged by that time is sent again by its client, or read again.
    async fn stop_source(&mut self, name: &str) -> Option<SourcePlan> {
        let at = self
            .sources
            .iter()
            .rposition(|source| source.plan.name == name)?;
        let source = self.sources.remove(at);
        let plan = (!source.has_ended()).then(|| source.plan.clone());
        let stop = source.stop.clone();
        stop.drain();
        let ended = source.ended();
        tokio::pin!(ended);
        if timeout(SOURCE_STOP_LIMIT, &mut ended).await.is_err() {
            stop.quit();
            if timeout(SOURCE_STOP_LIMIT, ended).await.is_err() {
                tracing::warn!(source = %name, "the source did not stop in time");
            }
        }
        plan
    }

    /// Undoes a change: opens sources that were stopped for it.
    async fn restart(&mut self, plans: Vec<SourcePlan>) {
        for plan in plans {
            let pipeline = self.pipeline.clone();
            match self.open(&plan, &pipeline).await {
                Ok(source) => {
                    let routes = self.routes(&plan.name, &pipeline);
                    self.start_source(plan, source, routes);
                }
                Err(error) => self.failures.report(crate::runtime::Failure::task(
                    format!("source `{}`", plan.name),
                    format!("could not be opened again after a failed change: {error}"),
                )),
            }
        }
    }

    /// Puts the new pipeline in the place of the old one. Nothing here can fail.
    fn switch_over(&mut self, new: Pipeline, changes: &[Change], prepared: Prepared) {
        self.transforms = prepared.transforms;
        for (plan, sink) in prepared.changed {
            if let Some(running) = self
                .sinks
                .iter_mut()
                .find(|sink| sink.plan.name == plan.name)
            {
                let settings = SinkSettings::of(&plan, sink);
                running
                    .input
                    .change(settings, plan.buffer.limit, plan.batch);
                running.plan = plan;
            }
        }
        for (plan, input, stop) in prepared.added {
            let live = Arc::downgrade(&input);
            self.telemetry.add_sink(&input.telemetry, plan.kind(), live);
            let folder = input.dead_letters.path().to_owned();
            self.dead_letters.insert(plan.name.clone(), folder);
            input.tell_backlog();
            if self.options.checks_destinations {
                let input = Arc::clone(&input);
                // Aborted with the runtime where it takes longer than the run.
                tokio::spawn(async move { input.check_destination().await });
            }
            let seed = self.random.u64(..);
            let sink = RunningSink::start(plan, input, stop, seed, &self.failures);
            self.sinks.push(sink);
        }
        for source in &self.sources {
            if new.sources.iter().any(|plan| plan.name == source.plan.name) {
                source
                    .intake
                    .set_routes(self.routes(&source.plan.name, &new));
            }
        }
        for (plan, source) in prepared.sources {
            let routes = self.routes(&plan.name, &new);
            self.start_source(plan, source, routes);
        }
        for change in of(changes, Kind::Source, |step| *step == Step::Remove) {
            let at = (self.sources.iter()).position(|source| source.plan.name == change.name);
            if let Some(at) = at {
                let source = self.sources.remove(at);
                source.stop.drain();
                self.addresses().remove(&change.name);
                self.telemetry.remove_source(&change.name);
                self.leaving.spawn(source.ended());
            }
        }
        for change in of(changes, Kind::Sink, |step| *step == Step::Remove) {
            self.remove_sink(&change.name);
        }
        // In the order of the file, as the first start has it.
        self.pipeline = new;
    }

    /// Lets a sink deliver what it holds, within the limit of a shutdown.
    fn remove_sink(&mut self, name: &str) {
        let Some(at) = self.sinks.iter().position(|sink| sink.plan.name == name) else {
            return;
        };
        let mut sink = self.sinks.remove(at);
        sink.let_end();
        if sink.input.buffer.disk().is_some() {
            tracing::info!(sink = %name, "the removed sink sends no more; its events stay in the disk buffer");
        }
        sink.stop.drain();
        let name = name.to_owned();
        self.draining_names.push(name.clone());
        self.draining
            .spawn(async move { (name, sink.ended().await) });
    }

    fn start_source(&mut self, plan: SourcePlan, source: Box<dyn Source>, routes: Routes) {
        let listens_on = source.address();
        if let Some(address) = listens_on {
            let path = source.path().map(tracing::field::display);
            tracing::info!(source = %plan.name, %address, path, "listening");
            self.addresses().insert(plan.name.clone(), address);
        }
        let (stop, signal) = self.signal.part(self.pipeline.shutdown_limit);
        let source = RunningSource::start(
            plan,
            source,
            routes,
            &self.failures,
            (stop, &signal),
            self.ends.clone(),
        );
        let (plan, counters) = (&source.plan, source.intake.counters());
        self.telemetry
            .add_source(&plan.name, &plan.kind, listens_on, counters);
        self.sources.push(source);
    }

    fn addresses(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<String, std::net::SocketAddr>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What reads the source of this name in this pipeline.
    fn routes(&self, source: &str, pipeline: &Pipeline) -> Routes {
        let mut routes = Routes::default();
        for plan in &pipeline.transforms {
            if let Some(node) = self.transforms.iter().find(|node| node.name == plan.name) {
                routes.add_transform(source, &plan.inputs, node);
            }
        }
        for plan in &pipeline.sinks {
            if let Some(sink) = self.sinks.iter().find(|sink| sink.plan.name == plan.name) {
                routes.add_sink(source, &plan.inputs, &sink.input);
            }
        }
        routes
    }
}

/// Refuses another partition while what waits for the old one does not get through: it would wait for ever behind a
/// configuration that no file has any more.
fn check_partition(running: &RunningSink, new: &dyn Sink) -> Result<(), ReloadError> {
    let (old, new) = (running.input.current().sink.partition(), new.partition());
    let now = running.input.telemetry.snapshot();
    if old == new || now.held == 0 || now.state == SinkState::Sending {
        return Ok(());
    }
    let shown = |partition: Option<Arc<str>>| partition.as_deref().unwrap_or_default().to_owned();
    Err(ReloadError::OtherPartition {
        sink: running.plan.name.clone(),
        events: now.held,
        made_for: shown(old),
        now: shown(new),
    })
}

/// The changes of one kind of component with such a step.
fn of(
    changes: &[Change],
    kind: Kind,
    step: impl Fn(&Step) -> bool,
) -> impl Iterator<Item = &Change> {
    changes
        .iter()
        .filter(move |change| change.kind == kind && step(&change.step))
}
