package org.gridwatch.connect.json;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Map;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.errors.DataException;

/** Schemas of Connect as JSON writes them. */
final class JsonSchemas {
    private static final Map<String, Schema.Type> TYPES = Map.ofEntries(
            Map.entry("boolean", Schema.Type.BOOLEAN),
            Map.entry("int8", Schema.Type.INT8),
            Map.entry("int16", Schema.Type.INT16),
            Map.entry("int32", Schema.Type.INT32),
            Map.entry("int64", Schema.Type.INT64),
            Map.entry("float", Schema.Type.FLOAT32),
            Map.entry("double", Schema.Type.FLOAT64),
            Map.entry("bytes", Schema.Type.BYTES),
            Map.entry("string", Schema.Type.STRING));

    private JsonSchemas() {}

    /**
     * Returns a schema.
     *
     * @throws DataException it is none
     */
    static Schema read(JsonNode node) {
        if (!node.isObject()) {
            throw new DataException("the schema is " + JsonValues.kind(node) + ", not an object");
        }
        SchemaBuilder builder = builder(node);
        JsonNode name = node.path("name");
        if (name.isTextual()) {
            builder.name(name.textValue());
        }
        if (node.path("version").isIntegralNumber()) {
            builder.version(node.path("version").intValue());
        }
        if (node.path("doc").isTextual()) {
            builder.doc(node.path("doc").textValue());
        }
        node.path("parameters").properties().forEach(one -> builder.parameter(one.getKey(), text(one)));
        if (node.path("optional").asBoolean(false)) {
            builder.optional();
        }
        JsonNode otherwise = node.path("default");
        if (!otherwise.isMissingNode() && !otherwise.isNull()) {
            builder.defaultValue(JsonValues.read(builder, otherwise, "the default"));
        }
        return builder.build();
    }

    /** Tells whether a schema is that of a Decimal or has one in it. */
    static boolean hasDecimal(Schema schema) {
        return Decimal.LOGICAL_NAME.equals(schema.name()) || switch (schema.type()) {
            case STRUCT -> schema.fields().stream().anyMatch(field -> hasDecimal(field.schema()));
            case MAP -> hasDecimal(schema.keySchema()) || hasDecimal(schema.valueSchema());
            case ARRAY -> hasDecimal(schema.valueSchema());
            default -> false;
        };
    }

    private static SchemaBuilder builder(JsonNode node) {
        String type = node.path("type").asText("");
        if (TYPES.containsKey(type)) {
            return SchemaBuilder.type(TYPES.get(type));
        }
        return switch (type) {
            case "array" -> SchemaBuilder.array(read(part(node, "items")));
            case "map" -> SchemaBuilder.map(read(part(node, "keys")), read(part(node, "values")));
            case "struct" -> struct(part(node, "fields"));
            default -> throw new DataException(
                    "the schema has the type " + node.path("type") + ", which Connect lacks");
        };
    }

    private static SchemaBuilder struct(JsonNode fields) {
        if (!fields.isArray()) {
            throw new DataException("the schema's fields are " + JsonValues.kind(fields) + ", not an array");
        }
        SchemaBuilder builder = SchemaBuilder.struct();
        for (JsonNode field : fields) {
            if (!field.path("field").isTextual()) {
                throw new DataException("the schema has a field " + JsonValues.shown(field) + " without a name");
            }
            builder.field(field.path("field").textValue(), read(field));
        }
        return builder;
    }

    private static JsonNode part(JsonNode node, String name) {
        JsonNode part = node.path(name);
        if (part.isMissingNode()) {
            throw new DataException("the schema " + JsonValues.shown(node) + " lacks " + name);
        }
        return part;
    }

    private static String text(Map.Entry<String, JsonNode> parameter) {
        if (!parameter.getValue().isTextual()) {
            throw new DataException("the schema's parameter " + parameter.getKey() + " is no text");
        }
        return parameter.getValue().textValue();
    }
}
