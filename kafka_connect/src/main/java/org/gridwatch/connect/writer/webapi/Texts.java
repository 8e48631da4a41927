package org.gridwatch.connect.writer.webapi;

/** What may be sent as text. */
final class Texts {
    private Texts() {}

    /** Tells whether a text has half a surrogate pair, which would arrive as another character. */
    static boolean isBroken(String text) {
        for (int i = 0; i < text.length(); i++) {
            char one = text.charAt(i);
            if (Character.isSurrogate(one)) {
                if (Character.isLowSurrogate(one) || i + 1 == text.length()
                        || !Character.isLowSurrogate(text.charAt(i + 1))) {
                    return true;
                }
                i++;
            }
        }
        return false;
    }
}
