package dropstream.orders;

/** A record that is not what its topic holds; the text says why, without its content. */
final class UnreadableException extends Exception {
    private static final long serialVersionUID = 1L;

    UnreadableException(String why) {
        super(why);
    }
}
