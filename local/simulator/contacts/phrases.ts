/** What people write, in whole messages. */
export const phrases = {
  /** They want nothing more. */
  stop: ["STOP", "Stop.", " stop ", "UNSUBSCRIBE", "BAJA", "PARAR", "ARRÊT", "STOPP", "стоп", "إيقاف", "रोकें", "停止"],
  /** They want messages again. */
  start: ["START", "start", "UNSTOP", "ALTA", "старт", "शुरू करें"],
  /** They want something else, whatever it looks like. */
  chat: [
    "Hello! What time do the doors open?",
    "Please stop by tomorrow, I have your book",
    "Don't stop, this is great 😀",
    "¡Qué bien! Nos vemos el sábado",
    "कितने बजे शुरू होगा?",
    "شكرا جزيلا",
    "1/2 price? https://example.com/offer",
    "Ça commence à quelle heure ?",
  ],
} as const;
