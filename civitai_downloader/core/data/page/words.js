"use strict";
// The page's texts in three languages, and numbers, sizes and dates as their readers write them.
civitai.room("words", [], () => {
  const LANGUAGES = ["en", "ja", "ko"];

  // One line a text: English, Japanese, Korean. " | " stands between singular and plural.
  const TABLE = {
    "title": ["Library", "ライブラリ", "라이브러리"],
    "place.images": ["Pictures", "画像", "이미지"],
    "place.models": ["Models", "モデル", "모델"],
    "count.images": ["{n} picture | {n} pictures", "画像 {n} 枚", "이미지 {n}개"],
    "count.models": ["{n} model | {n} models", "モデル {n} 件", "모델 {n}개"],

    "facet.type": ["Type", "種類", "유형"],
    "facet.base": ["Base model", "ベースモデル", "베이스 모델"],
    "facet.creator": ["Creator", "作者", "제작자"],
    "facet.tag": ["Tag", "タグ", "태그"],
    "facet.level": ["Level", "レベル", "등급"],
    "facet.complete": ["All versions here", "全バージョンあり", "모든 버전 보유"],
    "facet.update": ["Newer version", "新しいバージョン", "새 버전"],
    "facet.kind": ["Kind", "形式", "종류"],
    "facet.model": ["Model", "モデル", "모델"],
    "facet.lora": ["LoRA", "LoRA", "LoRA"],
    "facet.sampler": ["Sampler", "サンプラー", "샘플러"],
    "facet.tool": ["Tool", "ツール", "도구"],
    "facet.date": ["Date", "日付", "날짜"],
    "facet.resolution": ["Megapixels", "メガピクセル", "메가픽셀"],
    "facet.aspect": ["Shape", "縦横比", "화면 비율"],
    "facet.prompt": ["Prompt known", "プロンプトあり", "프롬프트 있음"],
    "value.image": ["Pictures", "静止画", "이미지"],
    "value.video": ["Videos", "動画", "동영상"],
    "value.yes": ["Yes", "はい", "예"],
    "value.no": ["No", "いいえ", "아니요"],
    "value.portrait": ["Portrait", "縦長", "세로"],
    "value.square": ["Square", "正方形", "정사각형"],
    "value.landscape": ["Landscape", "横長", "가로"],
    "value.unrated": ["Unrated", "未評価", "등급 없음"],

    "sort.newest": ["Newest first", "新しい順", "최신순"],
    "sort.oldest": ["Oldest first", "古い順", "오래된순"],
    "sort.name": ["By name", "名前順", "이름순"],
    "sort.size": ["Largest first", "サイズの大きい順", "크기순"],
    "sort.rating": ["Best rated first", "評価の高い順", "평점순"],
    "sort.likes": ["Most liked first", "いいねの多い順", "좋아요순"],
    "sort.random": ["In random order", "ランダム", "무작위"],

    "notice.copied": ["Copied.", "コピーしました。", "복사했어요."],
    "notice.not-copied": [
      "The browser did not allow copying.",
      "ブラウザーがコピーを許可しませんでした。",
      "브라우저에서 복사를 허용하지 않았어요.",
    ],
    "notice.undo": ["Undo", "元に戻す", "실행 취소"],
    "trouble.storage": [
      "This browser keeps nothing for this page, so searches, presets and settings end with it.",
      "このブラウザーはページのデータを保存しないため、検索履歴・プリセット・設定は閉じると失われます。",
      "이 브라우저는 페이지의 데이터를 저장하지 않아서, 닫으면 검색 기록, 프리셋, 설정이 사라져요.",
    ],
    "trouble.chunks": [
      "{n} picture is missing here, because a data file is gone or damaged. Run the program again with --page. | " +
        "{n} pictures are missing here, because data files are gone or damaged. Run the program again with --page.",
      "データファイルが失われたか壊れているため、画像 {n} 枚を表示できません。--page を付けてもう一度実行してください。",
      "데이터 파일이 없거나 손상되어 이미지 {n}개를 표시할 수 없습니다. --page 옵션으로 다시 실행해 주세요.",
    ],
    "trouble.models": [
      "The models are missing here, because a data file is gone or damaged. Run the program again with --page.",
      "データファイルが失われたか壊れているため、モデルを表示できません。--page を付けてもう一度実行してください。",
      "데이터 파일이 없거나 손상되어 모델을 표시할 수 없습니다. --page 옵션으로 다시 실행해 주세요.",
    ],
    "trouble.manifest": [
      "The data of this page is gone or damaged. Run the program again with --page.",
      "このページのデータが失われたか壊れています。--page を付けてもう一度実行してください。",
      "이 페이지의 데이터가 없거나 손상되었습니다. --page 옵션으로 다시 실행해 주세요.",
    ],
    "trouble.search": [
      "This browser cannot search here: {reason}.",
      "このブラウザーでは検索できません: {reason}",
      "이 브라우저에서는 검색할 수 없습니다: {reason}",
    ],
    "trouble.script": [
      "A part of this page did not load. Run the program again with --page.",
      "このページの一部を読み込めませんでした。--page を付けてもう一度実行してください。",
      "이 페이지의 일부를 불러오지 못했습니다. --page 옵션으로 다시 실행해 주세요.",
    ],

    "help.title": ["Keys", "キー操作", "단축키"],
    "help.list": ["Everywhere", "共通", "공통"],
    "help.viewer": ["In the viewer", "ビューアー", "뷰어"],
    "help.grid": ["Among the pictures", "一覧", "목록"],
    "help.close": ["Close", "閉じる", "닫기"],
  };

  const preferred = (globalThis.navigator?.languages ?? []).map((name) => name.slice(0, 2).toLowerCase());
  const language = preferred.find((name) => LANGUAGES.includes(name)) ?? "en";
  const numbers = new Intl.NumberFormat(language);
  const plurals = new Intl.PluralRules(language);
  const days = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const months = new Intl.DateTimeFormat(language, { year: "numeric", month: "long", timeZone: "UTC" });
  const lists = new Intl.ListFormat(language, { type: "conjunction" });

  /** Returns a number in the reader's notation. */
  const number = (value) => numbers.format(value);

  const form = (text, n) => {
    const forms = text.split(" | ");
    return forms.length > 1 && plurals.select(n) !== "one" ? forms[1] : forms[0];
  };

  const textIn = (name, key, values) => {
    const texts = TABLE[key];
    if (!texts) throw new Error(`There is no text "${key}".`);
    const shown = (word) => (typeof values[word] === "number" ? number(values[word]) : values[word]);
    return form(texts[LANGUAGES.indexOf(name)], values.n).replace(/\{(\w+)\}/g, (whole, word) =>
      word in values ? shown(word) : whole,
    );
  };

  /**
   * Returns a text in the reader's language.
   * @param {string} key
   * @param {object} values what stands for `{name}`; `n` decides the plural
   */
  const say = (key, values = {}) => textIn(language, key, values);

  /** Whether there is a text of this name. */
  const has = (key) => Object.hasOwn(TABLE, key);

  /** Returns a size, as in "1.4 GB"; the unit is a thousand times the one before it. */
  const bytes = (size) => {
    const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
    const power = Math.min(Math.floor(Math.log10(Math.max(size, 1)) / 3), units.length - 1);
    const digits = { style: "unit", unit: units[power], maximumSignificantDigits: size < 1000 ? 3 : 2 + (power > 1) };
    return new Intl.NumberFormat(language, digits).format(size / 1000 ** power);
  };

  const formatted = (format, value) => {
    const time = value ? new Date(value).getTime() : NaN;
    return Number.isNaN(time) ? "" : format.format(time);
  };

  /** Returns the day of a time in milliseconds or ISO 8601, or "" if it is none. */
  const date = (time) => formatted(days, time);

  /** Returns a month, given as in "2026-03". */
  const month = (text) => formatted(months, text);

  /** Returns a length in seconds as in "1:05". */
  const seconds = (length) => {
    const whole = Math.round(length);
    const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
    const rest = String(whole % 60).padStart(2, "0");
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
  };

  /** Returns words with commas and "and" between them. */
  const list = (words) => lists.format(words);

  return { LANGUAGES, TABLE, bytes, date, has, language, list, month, number, say, seconds, textIn };
});
