//! A shop in which a payment fails, seen by OpenTelemetry's exporter for the standard output.
//!
//! `docs/guide/src/seeing.md` shows what it prints. `tests/traced.rs` compares the two.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use taskgroup::TaskGroup;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let exporter = opentelemetry_stdout::SpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("shop"))
        .with_threads(false)
        .with_tracked_inactivity(false);
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer);
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let shop = TaskGroup::builder().name("shop").run(async |group| {
        group.task("catalogue").spawn(async {}).await?;
        group.task("order").spawn(std::future::pending::<()>());
        group.task("payment").spawn(async {
            tokio::task::yield_now().await;
            Err::<(), _>("the bank said no")
        });
        Ok(())
    });
    eprintln!("{:#}", shop.await.unwrap_err());
    provider.shutdown().unwrap();
}
