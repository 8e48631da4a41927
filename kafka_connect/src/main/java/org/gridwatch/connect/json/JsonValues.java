package org.gridwatch.connect.json;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Date;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.errors.DataException;

/** Values of Connect from JSON: what the schema says, or nothing. */
final class JsonValues {
    private static final int SHOWN_MAX = 60;
    private static final int DECIMAL_DIGITS_MAX = 10_000;

    private JsonValues() {}

    /**
     * Returns a value of a schema's type.
     *
     * @param what it is, for messages
     * @throws DataException it is of another type or out of its range, or a part of it is missing or too many
     */
    static Object read(Schema schema, JsonNode node, String what) {
        if (node == null || node.isNull()) {
            if (schema.defaultValue() != null) {
                return schema.defaultValue();
            }
            if (!schema.isOptional()) {
                throw new DataException(what + (node == null ? " is missing" : " is null") + ", which its schema does "
                        + "not allow");
            }
            return null;
        }
        if (Decimal.LOGICAL_NAME.equals(schema.name()) && node.isNumber()) {
            return decimal(schema, node, what);
        }
        Object plain = physical(schema, node, what);
        return schema.name() == null ? plain : logical(schema, plain);
    }

    private static Object physical(Schema schema, JsonNode node, String what) {
        return switch (schema.type()) {
            case BOOLEAN -> node.isBoolean() ? node.booleanValue() : refuse(schema, node, what);
            case INT8 -> (byte) whole(schema, node, what, Byte.MIN_VALUE, Byte.MAX_VALUE);
            case INT16 -> (short) whole(schema, node, what, Short.MIN_VALUE, Short.MAX_VALUE);
            case INT32 -> (int) whole(schema, node, what, Integer.MIN_VALUE, Integer.MAX_VALUE);
            case INT64 -> whole(schema, node, what, Long.MIN_VALUE, Long.MAX_VALUE);
            case FLOAT32 -> real(schema, node, what, Float.MAX_VALUE).floatValue();
            case FLOAT64 -> real(schema, node, what, Double.MAX_VALUE);
            case STRING -> node.isTextual() ? node.textValue() : refuse(schema, node, what);
            case BYTES -> bytes(schema, node, what);
            case ARRAY -> list(schema, node, what);
            case MAP -> map(schema, node, what);
            case STRUCT -> struct(schema, node, what);
        };
    }

    private static Object logical(Schema schema, Object plain) {
        return switch (schema.name()) {
            case Decimal.LOGICAL_NAME -> Decimal.toLogical(schema, (byte[]) plain);
            case Date.LOGICAL_NAME -> Date.toLogical(schema, (Integer) plain);
            case Time.LOGICAL_NAME -> Time.toLogical(schema, (Integer) plain);
            case Timestamp.LOGICAL_NAME -> Timestamp.toLogical(schema, (Long) plain);
            default -> plain;
        };
    }

    private static Object decimal(Schema schema, JsonNode node, String what) {
        int scale = Integer.parseInt(schema.parameters().getOrDefault(Decimal.SCALE_FIELD, "0"));
        BigDecimal number = node.decimalValue();
        // 1e999999999, and a scale such as that, must not be written out.
        if (number.signum() != 0 && (long) number.precision() - number.scale() + scale > DECIMAL_DIGITS_MAX) {
            throw new DataException(what + " is " + shown(node) + ", which has too many digits");
        }
        try {
            return number.setScale(scale);
        } catch (ArithmeticException error) {
            throw new DataException(
                    what + " is " + shown(node) + ", which has more than " + scale + " decimals", error);
        }
    }

    private static long whole(Schema schema, JsonNode node, String what, long least, long most) {
        if (!node.isNumber()) {
            refuse(schema, node, what);
        }
        // 5.0 is the whole number 5; a huge exponent must not be written out.
        if (Math.abs(node.doubleValue()) < 1e20) {
            BigDecimal number = node.decimalValue().stripTrailingZeros();
            if (number.scale() <= 0) {
                BigInteger whole = number.toBigInteger();
                if (whole.bitLength() < Long.SIZE && whole.longValue() >= least && whole.longValue() <= most) {
                    return whole.longValue();
                }
            }
        }
        refuse(schema, node, what);
        return 0;
    }

    private static Double real(Schema schema, JsonNode node, String what, double most) {
        if (!node.isNumber() || !(Math.abs(node.doubleValue()) <= most)) {
            refuse(schema, node, what);
        }
        return node.doubleValue();
    }

    private static byte[] bytes(Schema schema, JsonNode node, String what) {
        try {
            if (node.isTextual()) {
                return node.binaryValue();
            }
        } catch (IOException error) {
            throw new DataException(what + " is " + shown(node) + ", which is no base64", error);
        }
        refuse(schema, node, what);
        return new byte[0];
    }

    private static List<Object> list(Schema schema, JsonNode node, String what) {
        if (!node.isArray()) {
            refuse(schema, node, what);
        }
        List<Object> list = new ArrayList<>(node.size());
        for (JsonNode item : node) {
            list.add(read(schema.valueSchema(), item, what + "[" + list.size() + "]"));
        }
        return list;
    }

    private static Map<Object, Object> map(Schema schema, JsonNode node, String what) {
        Map<Object, Object> map = new HashMap<>();
        if (node.isObject() && schema.keySchema().type() == Schema.Type.STRING) {
            node.properties().forEach(one ->
                    map.put(one.getKey(), read(schema.valueSchema(), one.getValue(), what + "." + one.getKey())));
            return map;
        }
        if (!node.isArray()) {
            refuse(schema, node, what);
        }
        for (JsonNode pair : node) {
            if (!pair.isArray() || pair.size() != 2) {
                throw new DataException(what + " holds " + shown(pair) + ", which is no pair of key and value");
            }
            Object key = read(schema.keySchema(), pair.get(0), "a key of " + what);
            map.put(key, read(schema.valueSchema(), pair.get(1), what + "[" + key + "]"));
        }
        return map;
    }

    private static Struct struct(Schema schema, JsonNode node, String what) {
        if (!node.isObject()) {
            refuse(schema, node, what);
        }
        Struct struct = new Struct(schema);
        int found = 0;
        for (Field field : schema.fields()) {
            JsonNode value = node.get(field.name());
            found += value == null ? 0 : 1;
            struct.put(field, read(field.schema(), value, "field '" + field.name() + "'"));
        }
        if (found < node.size()) {
            node.fieldNames().forEachRemaining(name -> {
                if (schema.field(name) == null) {
                    throw new DataException(what + " has a field '" + name + "', which its schema lacks");
                }
            });
        }
        return struct;
    }

    /** Returns a value as it stands, for a record without schema. */
    static Object plain(JsonNode node) {
        return switch (node.getNodeType()) {
            case NULL, MISSING -> null;
            case BOOLEAN -> node.booleanValue();
            case STRING -> node.textValue();
            case NUMBER -> number(node);
            case ARRAY -> {
                List<Object> list = new ArrayList<>(node.size());
                node.forEach(item -> list.add(plain(item)));
                yield list;
            }
            case OBJECT -> {
                Map<String, Object> map = new LinkedHashMap<>();
                node.properties().forEach(one -> map.put(one.getKey(), plain(one.getValue())));
                yield map;
            }
            default -> throw new DataException("the record holds " + kind(node));
        };
    }

    private static Object number(JsonNode node) {
        if (!node.isIntegralNumber()) {
            return node.doubleValue();
        }
        // Connect's own converter would cut a larger one to 64 bits; a DOUBLE column may take it.
        return node.canConvertToLong() ? (Object) node.longValue() : node.bigIntegerValue();
    }

    private static Object refuse(Schema schema, JsonNode node, String what) {
        throw new DataException(what + " is " + kind(node) + " " + shown(node) + ", but its schema says "
                + schema.type().getName());
    }

    static String kind(JsonNode node) {
        return switch (node.getNodeType()) {
            case STRING -> "text";
            case NUMBER -> "the number";
            case BOOLEAN -> "the boolean";
            case OBJECT -> "an object";
            case ARRAY -> "an array";
            default -> "null";
        };
    }

    static String shown(JsonNode node) {
        String text = node.toString();
        return text.length() <= SHOWN_MAX ? text : text.substring(0, SHOWN_MAX) + "...";
    }
}
