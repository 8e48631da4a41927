import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.json.JsonConverter;
import org.gridwatch.connect.json.StrictJsonConverter;

/** Reads records, one a line, with both converters: what each made of it, written by Kafka's own, or the reason. */
public final class StrictJson {
    private static final ObjectMapper JSON = new ObjectMapper();

    private StrictJson() {}

    public static void main(String[] none) throws Exception {
        JsonConverter kafkas = new JsonConverter();
        kafkas.configure(Map.of("schemas.enable", "true"), false);
        StrictJsonConverter ours = new StrictJsonConverter();
        ours.configure(Map.of(), false);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            byte[] record = line.getBytes(StandardCharsets.UTF_8);
            ObjectNode answer = JSON.createObjectNode();
            try {
                answer.set("strict", written(kafkas, ours.toConnectData("t", record)));
            } catch (DataException error) {
                answer.put("reason", error.getMessage());
            }
            try {
                answer.set("kafka", written(kafkas, kafkas.toConnectData("t", record)));
            } catch (DataException error) {
                answer.putNull("kafka");
            }
            out.println(JSON.writeValueAsString(answer));
        }
    }

    private static com.fasterxml.jackson.databind.JsonNode written(JsonConverter kafkas, SchemaAndValue read)
            throws java.io.IOException {
        byte[] written = kafkas.fromConnectData("t", read.schema(), read.value());
        return written == null ? JSON.nullNode() : JSON.readTree(written);
    }
}
