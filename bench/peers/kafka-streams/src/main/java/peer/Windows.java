package peer;

import com.datadoghq.sketch.ddsketch.DDSketch;
import com.datadoghq.sketch.ddsketch.DDSketchProtoBinding;
import com.datadoghq.sketch.ddsketch.DDSketches;
import com.datadoghq.sketch.ddsketch.store.UnboundedSizeDenseStore;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams: groupByKey, windowedBy, aggregate into a RocksDB window store with its changelog.
 *
 * <p>As its documentation recommends: event time by a timestamp extractor, Jackson for JSON, a DDSketch in the
 * aggregate; tuned with a record cache of 64 MiB and a commit interval of 5 s, so that a window is written and
 * published once a commit and not once a record. Records are keyed by series already: no repartition topic.
 *
 * <p>java peer.Windows BROKER PREFIX STATE_DIR
 */
public final class Windows {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Pattern DURATION = Pattern.compile("duration=([0-9.]+)");

  /** The fields of a log that are read. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class Log {
    public String timestamp;
    public String level;
    public String message;
    public String dag_id;
    public String task_id;
    public String consumer_group;
    public String topic;
    public String service;
    public String model_version;
    public double latency_ms;

    String series() {
      if (dag_id != null) {
        return dag_id + "/" + task_id;
      }
      return consumer_group != null ? consumer_group + "/" + topic : service + "/" + model_version;
    }

    double latency() {
      if (dag_id == null) {
        return latency_ms;
      }
      Matcher found = DURATION.matcher(message);
      return found.find() ? Double.parseDouble(found.group(1)) * 1000 : 0;
    }
  }

  /** A window of a series. */
  static final class Window {
    String series = "";
    long count;
    long errors;
    double sum;
    DDSketch sketch = DDSketches.unboundedDense(0.01);

    Window add(Log log) {
      series = log.series();
      count++;
      errors += "ERROR".equals(log.level) ? 1 : 0;
      sum += log.latency();
      sketch.accept(log.latency());
      return this;
    }
  }

  static final class WindowSerde implements Serde<Window>, Serializer<Window>, Deserializer<Window> {
    @Override
    public byte[] serialize(String topic, Window window) {
      if (window == null) {
        return null;
      }
      try (ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
          DataOutputStream out = new DataOutputStream(bytes)) {
        out.writeUTF(window.series);
        out.writeLong(window.count);
        out.writeLong(window.errors);
        out.writeDouble(window.sum);
        out.write(DDSketchProtoBinding.toProto(window.sketch).toByteArray());
        return bytes.toByteArray();
      } catch (IOException error) {
        throw new IllegalStateException(error);
      }
    }

    @Override
    public Window deserialize(String topic, byte[] data) {
      if (data == null) {
        return null;
      }
      try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(data))) {
        Window window = new Window();
        window.series = in.readUTF();
        window.count = in.readLong();
        window.errors = in.readLong();
        window.sum = in.readDouble();
        window.sketch =
            DDSketchProtoBinding.fromProto(
                UnboundedSizeDenseStore::new,
                com.datadoghq.sketch.ddsketch.proto.DDSketch.parseFrom(in.readAllBytes()));
        return window;
      } catch (IOException error) {
        throw new IllegalStateException(error);
      }
    }

    @Override
    public Serializer<Window> serializer() {
      return this;
    }

    @Override
    public Deserializer<Window> deserializer() {
      return this;
    }

    @Override
    public void close() {}

    @Override
    public void configure(Map<String, ?> configs, boolean isKey) {}
  }

  private static Log read(byte[] value) {
    try {
      return JSON.readValue(value, Log.class);
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  private static byte[] result(long startMs, Window window) {
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("series", window.series);
    out.put("start", startMs);
    out.put("count", window.count);
    out.put("errors", window.errors);
    out.put("sum", window.sum);
    out.put("p50", window.sketch.getValueAtQuantile(0.5));
    out.put("p95", window.sketch.getValueAtQuantile(0.95));
    out.put("p99", window.sketch.getValueAtQuantile(0.99));
    try {
      return JSON.writeValueAsBytes(out);
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  public static void main(String[] args) {
    String prefix = args[1];
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + ".kafka-streams");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[2]);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 5000);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put("auto.offset.reset", "earliest");

    Serde<Log> logs =
        Serdes.serdeFrom(
            (topic, log) -> {
              throw new IllegalStateException("logs are only read");
            },
            (topic, value) -> read(value));
    TimestampExtractor eventTime =
        (record, partitionTime) -> Instant.parse(((Log) record.value()).timestamp).toEpochMilli();
    StreamsBuilder builder = new StreamsBuilder();
    for (String kind : new String[] {"airflow", "kafka", "ml"}) {
      builder.stream(
              prefix + ".logs." + kind,
              Consumed.with(Serdes.Bytes(), logs).withTimestampExtractor(eventTime))
          .groupByKey(Grouped.with(Serdes.Bytes(), logs))
          .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofSeconds(10)))
          .aggregate(
              Window::new,
              (key, log, window) -> window.add(log),
              Materialized.<Bytes, Window, WindowStore<Bytes, byte[]>>as(kind + "-windows")
                  .withKeySerde(Serdes.Bytes())
                  .withValueSerde(new WindowSerde())
                  .withRetention(Duration.ofHours(4)))
          .toStream()
          .map((key, window) -> org.apache.kafka.streams.KeyValue.pair(key.key(), result(key.window().start(), window)))
          .to(prefix + ".peer.kafka-streams", Produced.with(Serdes.Bytes(), Serdes.ByteArray()));
    }
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
