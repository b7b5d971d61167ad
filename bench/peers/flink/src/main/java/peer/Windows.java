package peer;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Flink's DataStream API: a keyed event-time window with an AggregateFunction, RocksDB state, checkpoints.
 *
 * <p>As its documentation recommends: Kafka source and sink, bounded out-of-orderness, incremental aggregation
 * (`aggregate` with a ProcessWindowFunction for the window), POJO types; tuned with object reuse. A local cluster
 * with one slot; checkpoints every ten seconds.
 *
 * <p>java peer.Windows BROKER PREFIX STATE_DIR
 */
public final class Windows {
  private static final double GAMMA = 1.01 / 0.99;
  private static final double LOG_GAMMA = Math.log(GAMMA);
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Pattern DURATION = Pattern.compile("duration=([0-9.]+)");

  /** The fields of a log that are read. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  static final class Log {
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
  }

  /** What is aggregated of one log. */
  public static final class Reading {
    public String series;
    public long atMs;
    public double latencyMs;
    public boolean isError;

    public Reading() {}

    Reading(Log log) {
      atMs = Instant.parse(log.timestamp).toEpochMilli();
      isError = "ERROR".equals(log.level);
      latencyMs = log.latency_ms;
      if (log.dag_id != null) {
        series = log.dag_id + "/" + log.task_id;
        Matcher found = DURATION.matcher(log.message);
        latencyMs = found.find() ? Double.parseDouble(found.group(1)) * 1000 : 0;
      } else if (log.consumer_group != null) {
        series = log.consumer_group + "/" + log.topic;
      } else {
        series = log.service + "/" + log.model_version;
      }
    }
  }

  /** A window's state: counts by bucket of a DDSketch with a relative accuracy of 1 %, from `low` on. */
  public static final class State {
    public long count;
    public long errors;
    public double sum;
    public int low;
    public int[] buckets = new int[0];

    public State() {}

    State add(Reading reading) {
      count++;
      errors += reading.isError ? 1 : 0;
      sum += reading.latencyMs;
      int bucket = (int) Math.ceil(Math.log(Math.max(reading.latencyMs, 1e-3)) / LOG_GAMMA);
      if (buckets.length == 0) {
        low = bucket;
        buckets = new int[1];
      } else if (bucket < low) {
        int[] wider = new int[buckets.length + low - bucket];
        System.arraycopy(buckets, 0, wider, low - bucket, buckets.length);
        buckets = wider;
        low = bucket;
      } else if (bucket >= low + buckets.length) {
        buckets = Arrays.copyOf(buckets, bucket - low + 1);
      }
      buckets[bucket - low]++;
      return this;
    }

    double quantile(double q) {
      long rank = Math.max(1, (long) Math.ceil(q * count));
      long seen = 0;
      for (int i = 0; i < buckets.length; i++) {
        seen += buckets[i];
        if (seen >= rank) {
          return 2 * Math.pow(GAMMA, low + i) / (GAMMA + 1);
        }
      }
      throw new IllegalStateException("fewer values than counted");
    }
  }

  private static final class Fold implements AggregateFunction<Reading, State, State> {
    @Override
    public State createAccumulator() {
      return new State();
    }

    @Override
    public State add(Reading reading, State state) {
      return state.add(reading);
    }

    @Override
    public State getResult(State state) {
      return state;
    }

    @Override
    public State merge(State one, State two) {
      throw new UnsupportedOperationException("tumbling windows never merge");
    }
  }

  private static final class Publish extends ProcessWindowFunction<State, String, String, TimeWindow> {
    @Override
    public void process(String series, Context context, Iterable<State> states, Collector<String> out)
        throws IOException {
      State state = states.iterator().next();
      Map<String, Object> result = new LinkedHashMap<>();
      result.put("series", series);
      result.put("start", context.window().getStart());
      result.put("count", state.count);
      result.put("errors", state.errors);
      result.put("sum", state.sum);
      result.put("p50", state.quantile(0.5));
      result.put("p95", state.quantile(0.95));
      result.put("p99", state.quantile(0.99));
      out.collect(JSON.writeValueAsString(result));
    }
  }

  private static final class Read implements KafkaRecordDeserializationSchema<Reading> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Reading> out) throws IOException {
      out.collect(new Reading(JSON.readValue(record.value(), Log.class)));
    }

    @Override
    public TypeInformation<Reading> getProducedType() {
      return TypeInformation.of(Reading.class);
    }
  }

  public static void main(String[] args) throws Exception {
    String prefix = args[1];
    Configuration settings = new Configuration();
    settings.setString("state.backend.type", "rocksdb");
    settings.setString("execution.checkpointing.interval", "10s");
    settings.setString("execution.checkpointing.dir", "file://" + args[2]);
    settings.setString("pipeline.object-reuse", "true");
    StreamExecutionEnvironment flow = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    KafkaSource<Reading> source =
        KafkaSource.<Reading>builder()
            .setBootstrapServers(args[0])
            .setTopics(prefix + ".logs.airflow", prefix + ".logs.kafka", prefix + ".logs.ml")
            .setGroupId(prefix + ".flink")
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setDeserializer(new Read())
            .build();
    KafkaSink<String> sink =
        KafkaSink.<String>builder()
            .setBootstrapServers(args[0])
            .setRecordSerializer(
                KafkaRecordSerializationSchema.builder()
                    .setTopic(prefix + ".peer.flink")
                    .setKeySerializationSchema(
                        (String result) -> result.substring(0, 64).getBytes(StandardCharsets.UTF_8))
                    .setValueSerializationSchema(new SimpleStringSchema())
                    .build())
            .build();
    flow.fromSource(
            source,
            WatermarkStrategy.<Reading>forBoundedOutOfOrderness(Duration.ofSeconds(10))
                .withTimestampAssigner((reading, ignored) -> reading.atMs),
            "logs")
        .keyBy(reading -> reading.series)
        .window(TumblingEventTimeWindows.of(Duration.ofMinutes(1)))
        .aggregate(new Fold(), new Publish())
        .sinkTo(sink);
    flow.execute("windows");
  }
}
