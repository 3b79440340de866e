import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.text.ParsePosition;
import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Values;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.runtime.ConnectMetrics;
import org.apache.kafka.connect.runtime.ConnectorConfig;
import org.apache.kafka.connect.runtime.TransformationStage;
import org.apache.kafka.connect.runtime.isolation.Plugins;
import org.apache.kafka.connect.runtime.standalone.StandaloneConfig;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.util.ConnectorTaskId;

/** What Java makes of a chain and a record, a text, a date pattern or a regular expression: one JSON line in, one out. */
public final class TransformOracle {
    private static final ObjectMapper MAPPER = new ObjectMapper()
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .setNodeFactory(JsonNodeFactory.withExactBigDecimals(true));

    private final JsonConverter converter = new JsonConverter();
    private final Plugins plugins;
    private final ConnectMetrics metrics;

    private TransformOracle() {
        Map<String, String> worker = new HashMap<>();
        worker.put("bootstrap.servers", "127.0.0.1:1");
        worker.put("key.converter", JsonConverter.class.getName());
        worker.put("value.converter", JsonConverter.class.getName());
        worker.put("offset.storage.file.filename", "unused");
        worker.put("plugin.discovery", "service_load");
        plugins = new Plugins(worker);
        plugins.compareAndSwapWithDelegatingLoader();
        metrics = new ConnectMetrics("oracle", new StandaloneConfig(worker), Time.SYSTEM, "oracle");
        converter.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false", "converter.type", "value"));
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // whatever logs must not get between the answers
        TransformOracle oracle = new TransformOracle();
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = questions.readLine(); line != null; line = questions.readLine()) {
            answers.println(MAPPER.writeValueAsString(oracle.answer(MAPPER.readTree(line))));
        }
    }

    private JsonNode answer(JsonNode question) throws Exception {
        switch (question.path("ask").asText("case")) {
            case "infer":
                return inferred(question.get("text").textValue());
            case "format":
                return dateText(question);
            case "parse":
                return dateParsed(question);
            case "regex":
                return replaced(question);
            case "read":
                return read(question);
            default:
                return outcome(question);
        }
    }

    private JsonNode outcome(JsonNode question) throws Exception {
        ObjectNode answer = MAPPER.createObjectNode();
        Map<String, String> properties = new HashMap<>();
        question.get("chain").properties().forEach(entry -> properties.put(entry.getKey(), entry.getValue().textValue()));
        properties.put("name", "oracle");
        properties.put("connector.class", "org.apache.kafka.connect.file.FileStreamSourceConnector");
        List<TransformationStage<?>> stages;
        try {
            stages = stages(properties);
        } catch (Throwable e) {
            return answer.put("config_error", text(unwrapped(e)));
        }
        ArrayNode outcomes = answer.putArray("outcomes");
        for (JsonNode given : question.get("records")) {
            boolean sink = "sink".equals(given.path("kind").asText());
            outcomes.add(apply(stages, sink ? sinkRecord(given) : sourceRecord(given)));
        }
        stages.forEach(TransformationStage::close);
        return answer;
    }

    private List<TransformationStage<?>> stages(Map<String, String> properties) {
        return List.copyOf(new ConnectorConfig(plugins, properties)
                .<SourceRecord>transformationStages(plugins, new ConnectorTaskId("oracle", 0), metrics));
    }

    @SuppressWarnings({"unchecked", "rawtypes"}) // a stage takes records of either kind
    private JsonNode apply(List<TransformationStage<?>> stages, ConnectRecord<?> record) {
        ObjectNode answer = MAPPER.createObjectNode();
        try {
            ConnectRecord<?> current = record;
            for (TransformationStage stage : stages) {
                current = stage.apply(current);
                if (current == null) {
                    answer.set("out", null);
                    return answer;
                }
            }
            return converted(current, answer);
        } catch (Throwable e) {
            return answer.put("error", text(e));
        }
    }

    private JsonNode converted(ConnectRecord<?> record, ObjectNode answer) {
        try {
            ObjectNode written = MAPPER.createObjectNode();
            written.put("topic", record.topic());
            written.put("partition", record.kafkaPartition());
            written.put("timestamp", record.timestamp());
            written.set("key", document(record.keySchema(), record.key()));
            written.set("value", document(record.valueSchema(), record.value()));
            ArrayNode headers = written.putArray("headers");
            for (Header header : record.headers()) {
                ObjectNode one = headers.addObject().put("name", header.key());
                JsonNode document = document(header.schema(), header.value());
                one.set("schema", document == null ? null : document.get("schema"));
                one.set("value", document == null ? null : document.get("payload"));
            }
            answer.putArray("out").add(written);
            return answer;
        } catch (Throwable e) {
            return answer.put("error", text(e)).put("stage", "convert");
        }
    }

    private JsonNode document(Schema schema, Object value) throws Exception {
        byte[] bytes = converter.fromConnectData("oracle", schema, value);
        return bytes == null ? null : MAPPER.readTree(bytes);
    }

    private static Throwable unwrapped(Throwable e) {
        while (e instanceof ConnectException && e.getCause() != null && e.getCause().toString().equals(e.getMessage())) {
            e = e.getCause();
        }
        return e;
    }

    private static String text(Throwable e) {
        return e.getClass().getSimpleName() + ": " + e.getMessage();
    }

    private SchemaAndValue value(JsonNode document) throws Exception {
        return converter.toConnectData("oracle", document == null || document.isNull() ? null : MAPPER.writeValueAsBytes(document));
    }

    private ConnectHeaders headers(JsonNode given) throws Exception {
        ConnectHeaders headers = new ConnectHeaders();
        for (JsonNode header : given.withArray("headers")) {
            ObjectNode document = MAPPER.createObjectNode();
            document.set("schema", header.get("schema"));
            document.set("payload", header.get("value"));
            SchemaAndValue value = value(document);
            headers.add(header.get("name").textValue(), value.value(), value.schema());
        }
        return headers;
    }

    private SourceRecord sourceRecord(JsonNode given) throws Exception {
        SchemaAndValue key = value(given.get("key"));
        SchemaAndValue value = value(given.get("value"));
        return new SourceRecord(Map.of("server", "oracle"), Map.of("lsn", 1), given.path("topic").textValue(), partition(given),
                key.schema(), key.value(), value.schema(), value.value(), timestamp(given), headers(given));
    }

    private SinkRecord sinkRecord(JsonNode given) throws Exception {
        SchemaAndValue key = value(given.get("key"));
        SchemaAndValue value = value(given.get("value"));
        return new SinkRecord(given.path("topic").textValue(), given.path("partition").asInt(), key.schema(), key.value(),
                value.schema(), value.value(), given.path("offset").asLong(), timestamp(given), TimestampType.CREATE_TIME,
                headers(given));
    }

    private static Integer partition(JsonNode given) {
        return given.path("partition").isNumber() ? given.get("partition").intValue() : null;
    }

    private static Long timestamp(JsonNode given) {
        return given.path("timestamp").isNumber() ? given.get("timestamp").longValue() : null;
    }

    private JsonNode inferred(String text) {
        ObjectNode answer = MAPPER.createObjectNode();
        try {
            SchemaAndValue found = Values.parseString(text);
            answer.set("out", found == null ? null : document(found.schema(), found.value()));
        } catch (Throwable e) {
            answer.put("error", text(e));
        }
        return answer;
    }

    private JsonNode read(JsonNode question) {
        ObjectNode answer = MAPPER.createObjectNode();
        try {
            SchemaAndValue found = converter.toConnectData("oracle", question.get("text").textValue().getBytes(StandardCharsets.UTF_8));
            answer.set("out", document(found.schema(), found.value()));
        } catch (Throwable e) {
            answer.put("error", text(e));
        }
        return answer;
    }

    private static SimpleDateFormat dateFormat(JsonNode question) {
        SimpleDateFormat format = new SimpleDateFormat(question.get("pattern").textValue());
        format.setTimeZone(TimeZone.getTimeZone(question.path("zone").asText("UTC")));
        return format;
    }

    private JsonNode dateText(JsonNode question) {
        ObjectNode answer = MAPPER.createObjectNode();
        try {
            return answer.put("out", dateFormat(question).format(new Date(question.get("millis").longValue())));
        } catch (IllegalArgumentException e) {
            return answer.put("error", text(e));
        }
    }

    private JsonNode dateParsed(JsonNode question) {
        ObjectNode answer = MAPPER.createObjectNode();
        try {
            Date found = dateFormat(question).parse(question.get("text").textValue(), new ParsePosition(0));
            return found == null ? answer.putNull("out") : answer.put("out", found.getTime());
        } catch (IllegalArgumentException e) {
            return answer.put("error", text(e));
        }
    }

    private JsonNode replaced(JsonNode question) {
        ObjectNode answer = MAPPER.createObjectNode();
        try {
            Matcher matcher = Pattern.compile(question.get("pattern").textValue()).matcher(question.get("text").textValue());
            answer.put("matches", matcher.matches());
            return answer.put("out", matcher.replaceFirst(question.get("replacement").textValue()));
        } catch (RuntimeException e) {
            return answer.put("error", text(e));
        }
    }
}
